package filter

import "ctview/model"

// routeColumns are the columns of the fields that ask for a route.
var routeColumns = map[field]model.Column{fieldIif: model.ColIif, fieldOif: model.ColOif}

// ofRoute does a comparison with the flow's route. What nothing is known of is "none", and so not anything else, where none is
// asked for; else known is false.
func (o *op) ofRoute(x *model.Extra) (r, known bool) {
	text := ""
	if x != nil {
		text = x.Route.Text(routeColumns[o.field])
	}
	if text == "" {
		none := o.code == opRoute && o.wantsNone()
		return none, none
	}
	return o.named(text), true
}
