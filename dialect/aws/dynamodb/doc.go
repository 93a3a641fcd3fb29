// Package dynamodb speaks DynamoDB's JSON protocol (aws.md 5) on the room of tables.
//
// A request goes through the checks in AWS's order: HTTP, JSON syntax, operation, signature, JSON types,
// constraints of the service's model (shape.go), what an operation says about its parameters, the
// table, and only then the item. operations.go lists the operations with their parameters; each file
// named after a subject holds its operations.
//
// An item is one row: its key attributes are the row's key, every other attribute is a column with one
// cell of time 0. What only DynamoDB knows of a table is its description in table.Spec.Extra. Global and
// local secondary indexes are the room's indexes: sparse, and kept in the same transaction.
//
// PartiQL statements are turned into those operations (partiql.go).
//
// Nothing here holds state but caches: parsed descriptions, counts of large tables, and which tables
// were made a moment ago, since AWS shows a table as being created for a while.
package dynamodb
