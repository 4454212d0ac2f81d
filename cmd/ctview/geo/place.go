//go:build !small

package geo

import (
	"net/netip"
	"strconv"
	"strings"
)

// A Place is what files tell of an address. Texts are the files', unescaped.
type Place struct {
	City    string // English name
	Country string // ISO 3166 code
	ASN     uint64
	Org     string // of the autonomous system
}

// String returns the parts that are known: "Berlin, DE, AS64496 Example".
func (p Place) String() string {
	var parts []string
	for _, s := range []string{p.City, p.Country} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	as := p.Org
	if p.ASN != 0 {
		as = strings.TrimSpace("AS" + strconv.FormatUint(p.ASN, 10) + " " + p.Org)
	}
	if as != "" {
		parts = append(parts, as)
	}
	return strings.Join(parts, ", ")
}

// Lookup returns what the files know of addr, the first that knows a thing wins. Files that cannot be read any more
// know nothing.
func Lookup(dbs []*DB, addr netip.Addr) (p Place) {
	for _, db := range dbs {
		v, err := db.find(addr)
		if err != nil || v == nil {
			continue
		}
		first(&p.City, text(v, "city", "names", "en"), text(v, "city"))
		first(&p.Country, text(v, "country", "iso_code"), text(v, "registered_country", "iso_code"), text(v, "country_code"), text(v, "country"))
		first(&p.Org, text(v, "autonomous_system_organization"), text(v, "as_name"))
		if p.ASN == 0 {
			p.ASN = number(v, "autonomous_system_number")
		}
		if p.ASN == 0 { // IPinfo: "AS64496"
			p.ASN, _ = strconv.ParseUint(strings.TrimPrefix(text(v, "asn"), "AS"), 10, 32)
		}
	}
	return p
}

// first sets *s to the first of all that is not empty, if it is empty itself.
func first(s *string, all ...string) {
	for _, a := range all {
		if *s == "" {
			*s = a
		}
	}
}
