package main

import (
	"os"
	"sync"

	"ctview/model/format"
)

// connlabelFile is where iptables, nft and conntrack(8) look for the names of connection labels.
const connlabelFile = "/etc/xtables/connlabel.conf"

// systemLabels reads connlabel.conf once; without the file labels have no names, which is no error.
var systemLabels = sync.OnceValue(func() format.LabelNames {
	conf, err := os.ReadFile(connlabelFile)
	if err != nil {
		return nil
	}
	return format.ParseLabels(string(conf))
})
