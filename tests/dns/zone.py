"""What the DNS of the tests says."""

from __future__ import annotations

ZONE = "test.example"
RECORDS = """\
$ORIGIN test.example.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 5
@ IN NS ns
ns IN A 127.0.0.1

; NAPTR, SRV, A and AAAA
carrier IN NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.carrier
carrier IN NAPTR 60 50 "s" "SIP+D2U" "" _sip._udp.carrier
carrier IN NAPTR 70 50 "s" "X-OTHER" "" _x._udp.carrier
_sips._tcp.carrier IN SRV 10 0 5061 a.carrier
_sip._udp.carrier IN SRV 20 0 5080 b.carrier
_sip._udp.carrier IN SRV 10 0 5070 a.carrier
a.carrier IN A 127.0.0.11
a.carrier IN AAAA ::11
b.carrier IN A 127.0.0.12
b.carrier IN A 127.0.0.13

; SRV alone; addresses alone; a service that is not there
srv IN A 127.0.0.99
_sip._udp.srv IN SRV 1 1 5090 b.carrier
_sip._tcp.srv IN SRV 1 1 5091 b.carrier
bare IN A 127.0.0.14
_sip._udp.none IN SRV 0 0 0 .
_sip._tcp.none IN SRV 0 0 0 .
_sips._tcp.none IN SRV 0 0 0 .
none IN A 127.0.0.15
empty IN TXT "nothing else"

; loops
loop IN CNAME loop2
loop2 IN CNAME loop
_sip._udp.looping IN SRV 1 1 5060 loop
_sip._tcp.looping IN SRV 1 1 5060 _sip._tcp.looping

; ENUM
$ORIGIN e164.test.example.
3.2.1.0.5.5.5.5.1.4.1 IN NAPTR 20 10 "u" "E2U+sip" "!^.*$!sip:second@bare.test.example!" .
3.2.1.0.5.5.5.5.1.4.1 IN NAPTR 10 10 "u" "E2U+sip" "!^\\\\+1(.*)$!sip:\\\\1@bare.test.example!" .
3.2.1.0.5.5.5.5.1.4.1 IN NAPTR 10 20 "u" "E2U+email" "!^.*$!mailto:x@example.org!" .
4.2.1.0.5.5.5.5.1.4.1 IN NAPTR 10 10 "u" "E2U+sip" "!^(a+)+$!sip:x@bare.test.example!" .
"""
