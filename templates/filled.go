package templates

import (
	"reflect"
	"time"
)

// filled is a page with something in every field, so that rendering it meets every part of a template that is shown at all.
func filled(page Page) Page {
	v := reflect.New(reflect.TypeOf(page)).Elem()
	fill(v)
	return v.Interface().(Page)
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(0, 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}
