#!/usr/bin/perl
# mmdb.pl OUT <TABLE: a MaxMind DB from lines "NETWORK COUNTRY ASN [LATITUDE LONGITUDE RADIUS [CITY [ORGANISATION]]]", tab separated;
# "-" for what is not there.  LAYOUT=flat in the environment: the layout country_code of the free country tables.
use strict;
use warnings;
use MaxMind::DB::Writer::Tree;
my %type = (country => 'map', iso_code => 'utf8_string', country_code => 'utf8_string', autonomous_system_number => 'uint32',
	autonomous_system_organization => 'utf8_string', location => 'map', latitude => 'double', longitude => 'double',
	accuracy_radius => 'uint16', city => 'map', names => 'map', en => 'utf8_string');
my $w = MaxMind::DB::Writer::Tree->new(ip_version => 6, record_size => 28, database_type => 'Campus-Test', languages => ['en'],
	description => {en => 'test'}, alias_ipv6_to_ipv4 => 1, remove_reserved_networks => 0, map_key_type_callback => sub { $type{$_[0]} });
while (<STDIN>) {
	chomp;
	my ($net, $cc, $asn, $lat, $lon, $radius, $city, $org) = map { $_ eq '-' ? undef : $_ } split /\t/;
	my %r;
	if (defined $cc) {
		if (($ENV{LAYOUT} // '') eq 'flat') { $r{country_code} = $cc } else { $r{country} = {iso_code => $cc} }
	}
	$r{autonomous_system_number} = $asn if defined $asn;
	$r{location} = {latitude => $lat, longitude => $lon, accuracy_radius => $radius // 20} if defined $lat;
	$r{city} = {names => {en => $city}} if defined $city;
	$r{autonomous_system_organization} = $org if defined $org;
	$w->insert_network($net, \%r);
}
open my $f, '>:raw', $ARGV[0] or die "$ARGV[0]: $!\n";
$w->write_tree($f);
close $f or die "$ARGV[0]: $!\n";
