class Spmsg < Formula
  desc "Scalability protocols with the C interface of libnanomsg"
  homepage "https://spmsg.invalid"
  url "https://spmsg.invalid/spmsg-0.1.0.tar.gz"
  sha256 ""
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "cmake" => :build
  depends_on "rust" => :build
  # The names of libraries on macOS are not made by the build yet.
  depends_on :linux

  conflicts_with "nanomsg", because: "both install nanocat"

  def install
    system "cmake", "-S", ".", "-B", "build", "-DNN_TESTS=OFF", "-DNN_ENABLE_DOC=ON",
                    "-DNN_ENABLE_NANOCAT=ON", "-DSPMSG_TLS=ON", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    bind = "ipc://#{testpath}/spmsg.ipc"
    fork do
      exec bin/"nanocat", "--rep", "--bind", bind, "--format", "ascii", "--data", "home"
    end
    sleep 2
    output = shell_output("#{bin}/nanocat --req --connect #{bind} --format ascii --data brew")
    assert_match "home", output
  end
end
