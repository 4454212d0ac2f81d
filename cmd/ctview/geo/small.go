//go:build small

// Package geo is left out of a small build.
package geo

import (
	"errors"
	"net/netip"
)

// A DB is no file.
type DB struct{}

// Close does nothing.
func (*DB) Close() error { return nil }

// A Place is nowhere.
type Place struct{}

// String is empty.
func (Place) String() string { return "" }

// Open refuses every file.
func Open(string) (*DB, error) {
	return nil, errors.New("this is a small build, without places (GeoIP): take geoip out of the configuration")
}

// Lookup knows no place.
func Lookup([]*DB, netip.Addr) Place { return Place{} }
