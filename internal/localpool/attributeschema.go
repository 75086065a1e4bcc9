package localpool

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// customPrefix begins the names of attributes that a pool adds to the standard ones.
const customPrefix = "custom:"

// mostCustomAttributes is Cognito's quota.
const mostCustomAttributes = 50

// customName is what Cognito allows in the name of a custom attribute, narrowed to what stays one word in claims and headers.
var customName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,20}$`)

var errUnauthorizedAttribute = notAuthorized("A client attempted to write unauthorized attribute")

// CheckCustomAttributes refuses names that a pool cannot have; see [Config].
func CheckCustomAttributes(custom, writable []string) error {
	all := slices.Concat(custom, writable)
	if len(all) > mostCustomAttributes {
		return fmt.Errorf("a pool has up to %d custom attributes, got %d", mostCustomAttributes, len(all))
	}
	seen := make(map[string]bool)
	for _, name := range all {
		if !customName.MatchString(name) {
			return fmt.Errorf("custom attribute %q: a name has 1 to 20 letters, digits, dots, hyphens and underscores, and no %s before it", name, customPrefix)
		}
		if seen[name] {
			return fmt.Errorf("custom attribute %q is given twice: either users may write it or only administrators", name)
		}
		seen[name] = true
	}
	return nil
}

// known reports whether users may have an attribute of this name, beside those that the pool sets.
func (s *settings) known(name string) bool {
	if custom, ok := strings.CutPrefix(name, customPrefix); ok {
		return slices.Contains(s.CustomAttributes, custom) || slices.Contains(s.WritableCustomAttributes, custom)
	}
	return slices.Contains(standardAttributes, name)
}

// writable is false for attributes that users must not set or delete themselves. An attribute that is not known is refused later.
func (s *settings) writable(name string) bool {
	if custom, ok := strings.CutPrefix(name, customPrefix); ok {
		return !slices.Contains(s.CustomAttributes, custom)
	}
	return !slices.Contains(serverAttributes, name) && !strings.HasPrefix(name, "cognito:")
}

// schemaAttribute is one entry of a pool's schema in the answer of DescribeUserPool.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SchemaAttributeType.html
type schemaAttribute struct {
	Name                       string             `json:"Name"`
	AttributeDataType          string             `json:"AttributeDataType"`
	DeveloperOnlyAttribute     bool               `json:"DeveloperOnlyAttribute"`
	Mutable                    bool               `json:"Mutable"`
	Required                   bool               `json:"Required"`
	StringAttributeConstraints *stringConstraints `json:"StringAttributeConstraints,omitempty"`
}

type stringConstraints struct {
	MinLength string `json:"MinLength,omitempty"`
	MaxLength string `json:"MaxLength,omitempty"`
}

// schemaAttributes are the attributes that users of this pool may have. Every value is text but the marks of verified addresses.
func (s *settings) schemaAttributes() []schemaAttribute {
	text := &stringConstraints{MinLength: "0", MaxLength: strconv.Itoa(maxValue)}
	list := []schemaAttribute{{Name: "sub", AttributeDataType: "String", Required: true, StringAttributeConstraints: text}}
	for _, name := range standardAttributes {
		list = append(list, schemaAttribute{
			Name: name, AttributeDataType: "String", Mutable: true, StringAttributeConstraints: text,
			Required: !s.Names.Chosen && len(s.Names.With) == 1 && name == s.Names.With[0],
		})
	}
	for _, name := range slices.Concat(s.CustomAttributes, s.WritableCustomAttributes) {
		list = append(list, schemaAttribute{Name: customPrefix + name, AttributeDataType: "String", Mutable: true, StringAttributeConstraints: text})
	}
	for _, name := range []string{"email_verified", "phone_number_verified"} {
		list = append(list, schemaAttribute{Name: name, AttributeDataType: "Boolean", Mutable: true})
	}
	return list
}
