package localpool

import "strconv"

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
	for _, name := range []string{"email_verified", "phone_number_verified"} {
		list = append(list, schemaAttribute{Name: name, AttributeDataType: "Boolean", Mutable: true})
	}
	return list
}
