# Every kind of conversation through NanoMsg::Raw, told on standard output.
use strict;
use warnings;
use NanoMsg::Raw;

my $folder = shift or die "usage: raw.pl FOLDER\n";

sub socket_of {
    my $s = nn_socket(AF_SP, shift) // die nn_errno();
    nn_setsockopt($s, NN_SOL_SOCKET, NN_RCVTIMEO, 5000) or die nn_errno();
    return $s;
}

sub told { print join(' ', @_), "\n" }

my $count = 0;
for my $transport ("inproc://talk", "ipc://$folder/talk.ipc") {
    for my $pair ([NN_PAIR, NN_PAIR], [NN_REP, NN_REQ], [NN_PULL, NN_PUSH], [NN_BUS, NN_BUS],
                  [NN_RESPONDENT, NN_SURVEYOR]) {
        my ($a, $b) = map { socket_of($_) } @$pair;
        my $place = $transport . $count++;
        defined nn_bind($a, $place) or die nn_errno();
        defined nn_connect($b, $place) or die nn_errno();
        if ($pair->[0] == NN_RESPONDENT || $pair->[0] == NN_BUS) {
            # Both send to whoever is there: wait for the other side.
            select undef, undef, undef, 0.2;
        }
        for my $size (0, 1, 100, 70_000) {
            my $bytes = nn_send($b, 'x' x $size) // die nn_errno();
            my $got = nn_recv($a, my $text, 100_000) // die nn_errno();
            my $same = $text eq 'x' x $size ? 'same' : 'other';
            told($transport =~ /^(\w+)/, @$pair, $size, $bytes, $got, $same);
            next if $pair->[0] == NN_PULL;
            nn_send($a, "answer $size") // die nn_errno();
            nn_recv($b, $text, 100) // die nn_errno();
            told('answered', $text);
        }
        nn_close($_) or die nn_errno() for $a, $b;
    }
}

my ($pub, $sub) = (socket_of(NN_PUB), socket_of(NN_SUB));
nn_setsockopt($sub, NN_SUB, NN_SUB_SUBSCRIBE, 'news') or die nn_errno();
defined nn_bind($pub, "inproc://topics") or die nn_errno();
defined nn_connect($sub, "inproc://topics") or die nn_errno();
nn_send($pub, $_) for 'weather: rain', 'news: one', 'sport: none', 'news: two';
for (1 .. 2) { nn_recv($sub, my $text, 100) // die nn_errno(); told('topic', $text) }
nn_setsockopt($sub, NN_SOL_SOCKET, NN_RCVTIMEO, 50) or die nn_errno();
told('nothing', defined nn_recv($sub, my $text, 100) ? 'but something' : 0 + nn_errno());

# Messages in memory of the library's own, in several pieces and in one.
my ($rep, $req) = (socket_of(NN_REP), socket_of(NN_REQ));
defined nn_bind($rep, "inproc://pieces") or die nn_errno();
defined nn_connect($req, "inproc://pieces") or die nn_errno();
nn_sendmsg($req, 0, 'in ', 'three ', 'pieces') // die nn_errno();
nn_recvmsg($rep, 0, my $front => 5, my $rest => 100) // die nn_errno();
told('pieces', $front, $rest);
my $message = nn_allocmsg(3, 0) // die nn_errno();
$message->copy('abc');
told('sent', nn_send($rep, $message) // die nn_errno());
nn_recv($req, my $chunk) // die nn_errno();
told('chunk', "$chunk");

told('wrong', defined nn_bind($rep, 'nowhere://x') ? 'taken' : 0 + nn_errno(), nn_strerror(nn_errno()));
told('closed', nn_close($rep) ? 'yes' : 'no', nn_close($rep) ? 'again' : 0 + nn_errno());
