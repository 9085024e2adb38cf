# A formatter for prove that writes what became of each test file as JSON lines, for `orchestrate`. What a file prints goes
# on to standard output.
package OrchestrateProve;
use strict;
use warnings;
use parent 'TAP::Formatter::Base';
use Fcntl;
use JSON::PP ();
use Time::HiRes ();

sub report {
    my ( $self, %record ) = @_;
    sysopen my $file, $ENV{ORCHESTRATE_REPORT}, O_WRONLY | O_CREAT | O_APPEND or die "can't write the report: $!";
    utf8::decode( $record{$_} ) for grep { defined $record{$_} } qw(id message);
    syswrite $file, JSON::PP->new->utf8->encode( \%record ) . "\n";
}

sub open_test {
    my ( $self, $test, $parser ) = @_;
    ( my $id = $test ) =~ s{^\./}{};
    my $at = eval { Time::HiRes::clock_gettime( Time::HiRes::CLOCK_MONOTONIC() ) };
    $self->report( event => 'started', id => $id, at => $at && $at + 0 );
    return OrchestrateProve::Session->new( { name => $id, formatter => $self, parser => $parser } );
}

sub summary { }

package OrchestrateProve::Session;
use parent -norequire, 'TAP::Formatter::Session';
use TAP::Formatter::Session;

sub result {
    my ( $self, $result ) = @_;
    print $result->raw, "\n";
    $self->{first} //= $result->as_string if $result->is_test && !$result->is_ok;
    # prove ends everything here.
    $self->tell( 'errored', 'bailed out: ' . $result->explanation ) if $result->is_bailout;
}

sub tell {
    my ( $self, $outcome, $message ) = @_;
    return if $self->{told}++;
    $self->formatter->report( event => 'finished', id => $self->name, outcome => $outcome, message => $message );
}

sub close_test {
    my ($self)  = @_;
    my $parser  = $self->parser;
    my $signal  = ( $parser->wait // 0 ) & 127;
    my @errors  = $parser->parse_errors;
    my $failed  = $parser->failed;
    my $others  = $failed > 1 ? ' (and ' . ( $failed - 1 ) . ' more)' : '';
    my @verdict =
        $signal                      ? ( 'crashed', "it was killed by signal $signal" )
      : $failed                      ? ( 'failed',  ( $self->{first} // 'failed' ) . $others )
      : @errors                      ? ( 'errored', $errors[0] )
      : $parser->exit                ? ( 'errored', 'exited with code ' . $parser->exit )
      : defined $parser->skip_all    ? ( 'skipped', $parser->skip_all )
      :                                ('passed');
    $self->tell(@verdict);
}

1;
