// Package lab makes private network namespaces with real traffic through the real kernel: for ctview demo, and for
// every test that needs a kernel.
//
// An NS is one anonymous namespace. Nothing names it in the file system: file descriptors of this process hold it, so
// it and all that is in it dies with the process, however that ends. NewNS makes a bare one.
//
// A Lab is three of them in a row, wired with veth pairs:
//
//	client ─lan──lan─ router ─wan──wan─ server
//
//	client   192.168.1.10–.17, 2001:db8:1::10–::17   zone 0; IPv4 is masqueraded, IPv6 is not
//	         10.5.0.10–.13, 2001:db8:5::10–::13      zone 5 (Options.Zones[0]), not translated
//	         10.7.0.10–.13, 2001:db8:7::10–::13      zone 7 (Options.Zones[1]), not translated
//	         fd00:9::10                              zone 0, masqueraded (NAT66)
//	         192.168.1.128/25, 2001:db8:1:ff::/64    ghosts: hosts that only crafted packets come from
//	router   .1 and ::1 of each, 192.0.2.1, 2001:db8:2::1; conntrack is looked at here
//	         203.0.113.80, 2001:db8:2::80            DNAT to the web server, port 80 to 8080
//	         192.0.2.1:2222                          DNAT to 192.168.1.10:22, from the server's side
//	server   192.0.2.53, 198.51.100.7, .80, 203.0.113.7, .21, 2001:db8:2::7, ::21, ::53
//	         203.0.113.192/26, 2001:db8:2:dead::/64  dead: everything sent there is lost
//
// The methods of a Lab that make traffic (FTP, DeadSYN, Ping …) return when what they promise is certain to have
// reached the router; Run calls them all at a steady pace.
//
// The package is not for production paths. It needs root or a user namespace: Reexec runs this program again in one,
// Main does so for the tests of a package.
package lab
