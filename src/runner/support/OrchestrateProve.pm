# prove lists test files and runs some of them for `orchestrate`; this module is loaded before prove's own.
#
#     perl -I. -MOrchestrateProve=list,REPORT -S prove ARGUMENT... @orchestrate FILE...
#     perl -I. -MOrchestrateProve=run,WORKERS -S prove --formatter OrchestrateProve ARGUMENT... @orchestrate FILE...
#
# Which files are tests, in which order, prove itself says: by its arguments, `.proverc` and kept state. What becomes of each
# file is written as JSON lines to $ORCHESTRATE_REPORT by a formatter. What a file prints goes on to standard output.
package OrchestrateProve;
use strict;
use warnings;
use App::Prove;
use Fcntl qw(O_APPEND O_CREAT O_WRONLY SEEK_SET);
use Time::HiRes ();
use parent 'TAP::Formatter::Base';

# What is behind it are the files, whatever paths `.proverc` or the arguments name.
use constant MARK => '@orchestrate';

my ( @files, $has_files );

sub import {
    my ( $class, $task, $value ) = @_;
    return unless defined $task;
    # Tests are given the folders that prove itself was given.
    my ($own) = $INC{'OrchestrateProve.pm'} =~ m{^(.*)/};
    @INC = grep { $_ ne $own } @INC;
    no warnings 'redefine';
    my $process_args = \&App::Prove::process_args;
    *App::Prove::process_args = sub {
        my ( $self, @args ) = @_;
        for my $at ( reverse 0 .. $#args ) {
            next if $args[$at] ne MARK;
            ( undef, @files ) = splice @args, $at;
            last;
        }
        my $result = $process_args->( $self, @args );
        $self->{argv} = [@files] if @files;
        return $result;
    };
    $task eq 'list' ? list($value) : run($value);
}

# Writes which files there are, and why they have to run in one process, if they have.
sub list {
    my ($report) = @_;
    no warnings 'redefine';
    *App::Prove::run = sub {
        my ($self) = @_;
        $self->state_manager( $self->state_class->new( { store => $self->statefile || App::Prove::STATE_FILE } ) );
        my @tests = $self->_get_tests;
        for my $test (@tests) {
            ( my $id = $test ) =~ s{^\./}{};
            record( $report, [ id => $id ], [ file => $id ] );
        }
        my $why = together($self);
        record( $report, [ event => 'listed' ], defined $why ? [ 'one-process' => $why ] : () );
        return 1;
    };
}

sub together {
    my ($self) = @_;
    return '`--rules` says which files may run at once' if @{ $self->rules };
    my ($rules) = grep { -r } qw(testrules.yml t/testrules.yml);
    return "`$rules` says which files may run at once" if $rules;
    return '`--state=save` keeps what became of all files' if grep {/\bsave\b/} @{ $self->state };
    return '`--archive` keeps what all files print'        if $self->archive;
    return '`--harness` is about all tests of a run'       if $self->harness;
    return 'plugins are loaded once a run'                 if @{ $self->plugins };
    return;
}

# Runs the files that are named, as many at once as are allowed here.
sub run {
    my ($workers) = @_;
    no warnings 'redefine';
    my $run = \&App::Prove::run;
    *App::Prove::run = sub {
        my ($self) = @_;
        $self->jobs($workers);
        # One that bails out is one that went wrong. The others are run by this process or by another.
        *TAP::Parser::Result::Bailout::is_bailout = sub { 0 }
            unless defined together($self);
        return $run->($self);
    };
    # A file is begun before its process starts, which may end prove at once.
    require TAP::Harness;
    my $make_parser = \&TAP::Harness::make_parser;
    *TAP::Harness::make_parser = sub {
        my ( $self, $job ) = @_;
        started( $job->description );
        return $make_parser->( $self, $job );
    };
    *App::Prove::_get_tests = sub {
        my ($self) = @_;
        # What is kept is written, but it does not choose.
        $self->state_manager->apply_switch( grep {/\bsave\b/} @{ $self->state } );
        return @files;
    };
}

my %escape = ( '"' => '\\"', '\\' => '\\\\', "\n" => '\\n', "\t" => '\\t', "\r" => '\\r' );

# Adds a record to a file, in one write. Loading a module for JSON takes longer than a short test.
sub record {
    my ( $path, @pairs ) = @_;
    my @parts;
    for my $pair ( grep { defined $_->[1] } @pairs ) {
        my ( $name, $value ) = @$pair;
        if ( ref $value ) {
            $value = sprintf '%.6f', $$value;
            $value =~ tr/,/./;
        }
        else {
            # Bytes that are not UTF-8 are taken for Latin-1.
            utf8::decode($value);
            $value =~ s/([\x00-\x1f\x7f"\\])/$escape{$1} || sprintf '\\u%04x', ord $1/ge;
            utf8::encode($value);
            $value = "\"$value\"";
        }
        push @parts, "\"$name\":$value";
    }
    sysopen my $file, $path, O_WRONLY | O_CREAT | O_APPEND or die "cannot write $path: $!";
    syswrite $file, '{' . join( ',', @parts ) . "}\n";
}

sub report { record( $ENV{ORCHESTRATE_REPORT}, @_ ) }

sub now {
    return eval { Time::HiRes::clock_gettime( Time::HiRes::CLOCK_MONOTONIC() ) } // Time::HiRes::time();
}

# When each file began, and how much had been printed by then.
my ( %at, %from );

sub started {
    my ($test) = @_;
    ( my $id = $test ) =~ s{^\./}{};
    return $id if defined $at{$id};
    $| = 1;
    $at{$id} = now();
    $from{$id} = -s _ if -f STDERR;
    report( [ event => 'started' ], [ id => $id ], [ at => \$at{$id} ] );
    return $id;
}

sub open_test {
    my ( $self, $test, $parser ) = @_;
    my $id = started($test);
    my $session = OrchestrateProve::Session->new( { name => $id, formatter => $self, parser => $parser } );
    @$session{qw(at from)} = ( $at{$id}, $from{$id} );
    return $session;
}

sub summary { }

package OrchestrateProve::Session;
use parent -norequire, 'TAP::Formatter::Session';
use TAP::Formatter::Session;

sub result {
    my ( $self, $result ) = @_;
    print $result->raw, "\n";
    $self->{first} //= $result->as_string if $result->is_test && !$result->is_ok;
    $self->{bailed} //= 'bailed out: ' . $result->explanation if $result->type eq 'bailout';
}

# What was printed while this file ran, by itself and by those beside it.
sub printed {
    my ($self) = @_;
    return unless defined $self->{from} && open my $file, '<&', \*STDERR;
    sysseek $file, $self->{from}, Fcntl::SEEK_SET or return;
    my $text = '';
    1 while sysread $file, $text, 1 << 16, length $text;
    return $text;
}

sub close_test {
    my ($self) = @_;
    return if $self->{told}++;
    my $parser  = $self->parser;
    my $signal  = ( $parser->wait // 0 ) & 127;
    my @errors  = $parser->parse_errors;
    my $failed  = $parser->failed;
    my $others  = $failed > 1 ? ' (and ' . ( $failed - 1 ) . ' more)' : '';
    my @verdict =
        defined $self->{bailed}      ? ( 'errored', $self->{bailed} )
      : $signal                      ? ( 'crashed', "it was killed by signal $signal" )
      : $failed                      ? ( 'failed',  ( $self->{first} // 'failed' ) . $others )
      : @errors                      ? ( 'errored', $errors[0] )
      : $parser->exit && !$parser->ignore_exit ? ( 'errored', 'exited with code ' . $parser->exit )
      : defined $parser->skip_all    ? ( 'skipped', $parser->skip_all )
      :                                ('passed');
    my $seconds = OrchestrateProve::now() - $self->{at};
    OrchestrateProve::report(
        [ event => 'finished' ], [ id => $self->name ], [ outcome => $verdict[0] ],
        [ seconds => \$seconds ], [ message => $verdict[1] ],
        [ output => $verdict[0] eq 'passed' ? '' : $self->printed ],
    );
}

1;
