"""A manual page, mdoc(7), taken apart as far as manuals.py needs it."""

import re


class Page:
    """A page, taken apart as far as the checks need it."""

    def __init__(self, path):
        self.path = path
        self.file = path.name
        self.name, self.section = path.name.rsplit(".", 1)
        self.lines = path.read_text().splitlines()
        self.macros = []        # (heading, macro, its arguments)
        self.displays = []      # (what the comment before it says, text)
        self.options = []       # (level, type of the socket, cells)
        self.read()

    def read(self):
        heading, said, table, display = "", "", "", None
        for line in self.lines:
            if display is not None:
                if line == ".Ed":
                    self.displays.append((said, "\n".join(display) + "\n"))
                    said, display = "", None
                else:
                    display.append(line.replace("\\e", "\\").replace("\\-", "-"))
            elif line.startswith('.\\" '):
                said = line[4:]
                table = said if said.startswith("options ") else table
            elif line.startswith(".Bd"):
                display = []
            elif line.startswith("."):
                macro, *arguments = re.findall(r'"[^"]*"|\S+', line[1:])
                arguments = [argument.strip('"') for argument in arguments]
                heading = " ".join(arguments) if macro == "Sh" else heading
                self.macros.append((heading, macro, arguments))
                table = "" if macro == "El" else table
                if macro == "It" and " Ta " in line and table and arguments[0] == "Dv":
                    cells = re.sub(r"\\-", "-", line[len(".It Dv "):]).split(" Ta ")
                    self.options.append((*table.split()[1:], [re.sub(r"^Ta$", "", cell.strip())
                                                              for cell in split_empty(cells)]))

    def marked(self, macro, heading=None):
        """The words that a macro marks, also where it stands among the arguments of another."""
        found = []
        for where, first, arguments in self.macros:
            if heading and where != heading:
                continue
            marked = first == macro
            for word in arguments:
                if re.fullmatch(r"[A-Z][a-z]", word):
                    marked = word == macro
                elif marked and re.fullmatch(r"[*\w]+(-\w+)*", word):
                    found.append(word)
        return found

    def text(self):
        """Running text, each line's macros left in, displays left out."""
        return re.sub(r"\s+", " ", re.sub(r"(?ms)^\.Bd.*?^\.Ed$", "", "\n".join(self.lines)))


def split_empty(cells):
    """Cells of a table row; an empty one leaves `Ta` behind at the front of the next."""
    for cell in cells:
        while cell.startswith("Ta "):
            yield ""
            cell = cell[3:]
        yield cell
