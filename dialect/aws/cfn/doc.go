// Package cfn reads the language of CloudFormation templates: YAML and JSON with places, parameters,
// conditions, mappings, the pseudo parameters and the intrinsic functions (aws.md 7.2). What resources
// mean it does not know: a caller hands in Names, which answers Ref and Fn::GetAtt.
//
// Nothing is resolved before somebody asks. Template.Eval resolves a part of the template; whatever is
// wrong with it is noted with its place and a hint, and the part comes back as broken, so that one
// mistake is told once and all mistakes are told together (Template.Err).
//
// Package sam makes an App of a template, and other readers of templates that have CloudFormation in
// them (Serverless Framework) build a Template of their own values.
package cfn
