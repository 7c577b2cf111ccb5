# META.json, with the version that "make dist" puts in, is what the PGXN meta
# specification 1.0.0 asks for, and what it names is there.
use strict;
use warnings;

use JSON::PP;
use Test::More;

my @licenses = qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
  lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib
  open_source restricted unrestricted unknown);
my $semver = qr/(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?/;
my $range = qr/(?:(?:<=?|>=?|==|!=)\s*)?$semver|0/;

sub is_text { return defined $_[0] && !ref $_[0] && length $_[0] }
sub is_term { return is_text($_[0]) && $_[0] =~ m{^[^\s/\\\p{Cntrl}]{2,}$} }
sub is_list { return ref $_[0] eq 'ARRAY' && @{ $_[0] } && !grep { !is_text($_) } @{ $_[0] } }

# What is wrong with it, by the specification.
sub problems
{
	my ($meta) = @_;
	my @problems;
	my $need = sub { my ($what, $ok) = @_; push @problems, $what unless $ok; return };
	my %known = map { $_ => 1 } qw(name version abstract maintainer license provides meta-spec description generated_by
	  no_index prereqs release_status resources tags);

	foreach my $key (sort keys %$meta)
	{
		$need->("unknown key $key", $known{$key} || $key =~ /^x_/i);
	}
	$need->('name', is_term($meta->{name}));
	$need->('version', is_text($meta->{version}) && $meta->{version} =~ /^$semver$/);
	$need->('abstract', is_text($meta->{abstract}));
	$need->('maintainer', is_text($meta->{maintainer}) || is_list($meta->{maintainer}));
	my $license = $meta->{license};
	my @named = ref $license eq 'ARRAY' ? @$license : ref $license ? () : $license // '';
	$need->('license', (ref $license eq 'HASH' && %$license && !grep { !m{^https?://} } values %$license)
		|| (@named && !grep { my $name = $_; !grep { $_ eq $name } @licenses } @named));
	$need->('meta-spec', ref $meta->{'meta-spec'} eq 'HASH' && ($meta->{'meta-spec'}{version} // '') =~ /^1\.0\.\d+$/);

	my $provides = $meta->{provides};
	$need->('provides', ref $provides eq 'HASH' && %$provides);
	foreach my $extension (ref $provides eq 'HASH' ? sort keys %$provides : ())
	{
		my $part = $provides->{$extension};
		$need->("provides $extension", is_term($extension));
		$need->("file of $extension", is_text($part->{file}) && -e $part->{file});
		$need->("version of $extension", is_text($part->{version}) && $part->{version} =~ /^$semver$/);
		$need->("docfile of $extension", !exists $part->{docfile} || -e $part->{docfile});
		$need->("keys of $extension", !grep { !/^(file|version|abstract|docfile)$/ } keys %$part);
	}
	foreach my $phase (sort keys %{ $meta->{prereqs} // {} })
	{
		$need->("phase $phase", $phase =~ /^(configure|build|test|runtime|develop)$/);
		foreach my $relation (sort keys %{ $meta->{prereqs}{$phase} })
		{
			my $wanted = $meta->{prereqs}{$phase}{$relation};
			$need->("relation $relation", $relation =~ /^(requires|recommends|suggests|conflicts)$/);
			$need->("prerequisite $_", is_term($_) && $wanted->{$_} =~ /^$range(?:,\s*$range)*$/) foreach sort keys %$wanted;
		}
	}
	$need->('release_status', !exists $meta->{release_status} || $meta->{release_status} =~ /^(stable|testing|unstable)$/);
	$need->('tags', !exists $meta->{tags} || (is_list($meta->{tags}) && !grep { length > 255 || m{[/\\\p{Cntrl}]} } @{ $meta->{tags} }));
	$need->('description', !exists $meta->{description} || is_text($meta->{description}));
	return join(', ', @problems);
}

sub slurp
{
	my ($file) = @_;
	open my $handle, '<:raw', $file or die "$file: $!";
	local $/ = undef;
	return <$handle>;
}

my ($version) = slurp('retention.control') =~ /^default_version = '([^']+)'/m;
(my $text = slurp('META.json')) =~ s/__VERSION__/$version/g;
my $meta = decode_json($text);

is(problems($meta), '', 'META.json validates');
is($meta->{version}, $version, 'its version is the extension\'s');
is($meta->{provides}{retention}{version}, $version, 'and so is that of what it provides');

# The check sees what it is for.
foreach my $key (qw(name version abstract maintainer license provides meta-spec))
{
	my %without = %$meta;
	delete $without{$key};
	is(problems(\%without), $key, "without $key it does not");
}
foreach my $wrong ([ version => '1.0' ], [ license => 'mine' ], [ release_status => 'done' ], [ tags => ['a/b'] ], [ name => 'two words' ])
{
	is(problems({ %$meta, $wrong->[0] => $wrong->[1] }), $wrong->[0], "nor with such a $wrong->[0]");
}

done_testing();
