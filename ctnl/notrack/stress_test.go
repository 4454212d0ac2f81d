package notrack

import (
	"fmt"
	"sync"
	"testing"

	"ctview/model"
	"ctview/model/filter"
)

// TestTogether has several ctviews add and remove rules in one namespace at the same time: none fails, none loses a rule
// to another, and nothing is left.
func TestTogether(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, ctState)
	var wg sync.WaitGroup
	for w := range 4 {
		c := open(t, ns, "nftables")
		wg.Go(func() {
			for i := range *rounds {
				text := fmt.Sprintf("tcp 10.0.%d.1:%d > 10.0.0.2:80", w, 1000+i)
				if i%3 == 0 {
					text = fmt.Sprintf("tcp 10.%d.0.0/16 > any:%d", w, 1000+i)
				}
				r, err := filter.ParseRule(text)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := c.Add(ctx(t), &Request{Rules: []model.Rule{r}})
				if err != nil {
					t.Errorf("%d: add %s: %v", w, text, err)
					return
				}
				if _, err := c.find(ctx(t), got.ID); err != nil {
					t.Errorf("%d: %s was lost to another: %v", w, text, err)
				}
				if err := c.Remove(ctx(t), got.ID); err != nil {
					t.Errorf("%d: remove %s: %v", w, text, err)
				}
			}
		})
	}
	wg.Wait()
	c := open(t, ns, "nftables")
	if rs, err := c.List(ctx(t)); err != nil || len(rs) != 0 {
		t.Errorf("left: %+v %v", rs, err)
	}
}
