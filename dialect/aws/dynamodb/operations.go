package dynamodb

import (
	"context"
	"strings"
)

// operation is one operation with its parameters.
type operation struct {
	name   string
	params *shape
	before func(h *Handler, req *node) error // checks that AWS does before the constraints
	run    func(h *Handler, ctx context.Context, req *node) ([]byte, error)
}

// findOperation finds what an X-Amz-Target means.
func findOperation(header string) (*operation, bool) {
	if name, ok := strings.CutPrefix(header, streamsTarget); ok {
		return pick(streamOperations, name)
	}
	name, ok := strings.CutPrefix(header, target)
	if !ok {
		return nil, false
	}
	if op, ok := pick(operations, name); ok {
		return op, true
	}
	return pick(partiqlOperations, name)
}

// undone are the operations of AWS that nothing here does (aws.md 5.3).
const undone = ` CreateBackup DeleteBackup DescribeBackup ListBackups RestoreTableFromBackup RestoreTableToPointInTime ` +
	`ExportTableToPointInTime DescribeExport ListExports ImportTable DescribeImport ListImports ` +
	`CreateGlobalTable DescribeGlobalTable DescribeGlobalTableSettings ListGlobalTables UpdateGlobalTable UpdateGlobalTableSettings ` +
	`DescribeTableReplicaAutoScaling UpdateTableReplicaAutoScaling ` +
	`DescribeContributorInsights ListContributorInsights UpdateContributorInsights ` +
	`DescribeKinesisStreamingDestination DisableKinesisStreamingDestination EnableKinesisStreamingDestination UpdateKinesisStreamingDestination ` +
	`PutResourcePolicy GetResourcePolicy DeleteResourcePolicy `

// unknownOperation refuses an X-Amz-Target, with a word more than AWS where AWS would do what it says.
func unknownOperation(header string) *fault {
	f := newFault(coralService+"UnknownOperationException", "")
	if name, ok := strings.CutPrefix(header, target); ok && strings.Contains(undone, " "+name+" ") {
		f.message = name + " is not supported"
	}
	return f
}

func pick(list []operation, name string) (*operation, bool) {
	for i := range list {
		if list[i].name == name {
			return &list[i], true
		}
	}
	return nil, false
}

// operations are those of DynamoDB, the frequent ones first.
var operations = []operation{
	{"GetItem", getItemParams, nil, (*Handler).getItem},
	{"PutItem", putItemParams, nil, (*Handler).putItem},
	{"UpdateItem", updateItemParams, nil, (*Handler).updateItem},
	{"DeleteItem", deleteItemParams, nil, (*Handler).deleteItem},
	{"Query", queryParams, checkLimit, (*Handler).query},
	{"Scan", scanParams, nil, (*Handler).scan},
	{"BatchGetItem", batchGetParams, checkBatch("BatchGetItem"), (*Handler).batchGetItem},
	{"BatchWriteItem", batchWriteParams, checkBatch("BatchWriteItem"), (*Handler).batchWriteItem},
	{"TransactGetItems", transactGetParams, nil, (*Handler).transactGetItems},
	{"TransactWriteItems", transactWriteParams, nil, (*Handler).transactWriteItems},
	{"CreateTable", createTableParams, checkTableName, (*Handler).createTable},
	{"DescribeTable", tableParams, checkTableName, (*Handler).describeTable},
	{"UpdateTable", updateTableParams, checkTableName, (*Handler).updateTable},
	{"DeleteTable", tableParams, checkTableName, (*Handler).deleteTable},
	{"ListTables", listTablesParams, nil, (*Handler).listTables},
	{"UpdateTimeToLive", updateTTLParams, checkTableName, (*Handler).updateTimeToLive},
	{"DescribeTimeToLive", tableParams, checkTableName, (*Handler).describeTimeToLive},
	{"TagResource", tagParams, checkResource("TagResource"), (*Handler).tagResource},
	{"UntagResource", untagParams, checkResource("UntagResource"), (*Handler).untagResource},
	{"ListTagsOfResource", listTagsParams, checkResource("ListTagsOfResource"), (*Handler).listTagsOfResource},
	{"DescribeEndpoints", structure("DescribeEndpointsRequest"), nil, (*Handler).describeEndpoints},
	{"DescribeLimits", structure("DescribeLimitsInput"), nil, (*Handler).describeLimits},
	{"DescribeContinuousBackups", tableParams, checkTableName, (*Handler).describeContinuousBackups},
	{"UpdateContinuousBackups", updateBackupsParams, checkTableName, (*Handler).updateContinuousBackups},
}

// partiqlOperations are those that are done by others.
var partiqlOperations = []operation{
	{"ExecuteStatement", executeParams, nil, (*Handler).executeStatement},
	{"BatchExecuteStatement", batchExecuteParams, nil, (*Handler).batchExecuteStatement},
	{"ExecuteTransaction", executeTransactionParams, nil, (*Handler).executeTransaction},
}

// The makers of shapes. Lengths and values are from a smallest to a largest one; 0 is no largest.

func text(least, most int64) *shape  { return &shape{kind: aString, min: least, max: most} }
func whole(least, most int64) *shape { return &shape{kind: anInteger, min: least, max: most} }
func long(least int64) *shape        { return &shape{kind: aLong, min: least} }
func oneOf(words ...string) *shape   { return &shape{kind: aString, enum: words} }

func list(of *shape, least, most int64) *shape {
	return &shape{kind: aList, of: of, min: least, max: most}
}

func mapOf(of *shape) *shape { return &shape{kind: aMap, of: of} }

func structure(name string, fields ...field) *shape {
	return &shape{kind: aStructure, name: name, fields: fields}
}

func may(name string, s *shape) field  { return field{name, lowerFirst(name), false, s} }
func must(name string, s *shape) field { return field{name, lowerFirst(name), true, s} }

// Shapes that many operations share.
var (
	anyText  = text(0, 0)
	boolean  = &shape{kind: aBoolean}
	value    = &shape{kind: aValue}
	itemMap  = &shape{kind: anItem}
	name     = &shape{kind: aString, min: 3, max: 255, name3: true}
	attrName = text(1, 255)
	texts    = mapOf(anyText)

	consumed   = may("ReturnConsumedCapacity", oneOf("INDEXES", "TOTAL", "NONE"))
	metrics    = may("ReturnItemCollectionMetrics", oneOf("SIZE", "NONE"))
	returned   = may("ReturnValues", oneOf("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"))
	onFailure  = may("ReturnValuesOnConditionCheckFailure", oneOf("ALL_OLD", "NONE"))
	tableName  = must("TableName", name)
	itemKey    = must("Key", itemMap)
	names      = may("ExpressionAttributeNames", texts)
	values     = may("ExpressionAttributeValues", itemMap)
	projection = may("ProjectionExpression", anyText)
	condition  = may("ConditionExpression", anyText)
	toGet      = may("AttributesToGet", list(text(0, 65535), 1, 0))
	consistent = may("ConsistentRead", boolean)

	comparison = oneOf("IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS")
	operator   = may("ConditionalOperator", oneOf("OR", "AND"))
	conditions = mapOf(structure("Condition", may("AttributeValueList", list(value, 0, 0)), must("ComparisonOperator", comparison)))
	expected   = may("Expected", mapOf(structure("ExpectedAttributeValue", may("Value", value), may("Exists", boolean),
		may("ComparisonOperator", comparison), may("AttributeValueList", list(value, 0, 0)))))

	throughput = structure("ProvisionedThroughput", must("WriteCapacityUnits", long(1)), must("ReadCapacityUnits", long(1)))
	onDemand   = structure("OnDemandThroughput", may("MaxReadRequestUnits", long(-1)), may("MaxWriteRequestUnits", long(-1)))
	warm       = structure("WarmThroughput", may("ReadUnitsPerSecond", long(1)), may("WriteUnitsPerSecond", long(1)))
	keyPart    = structure("KeySchemaElement", must("AttributeName", attrName), must("KeyType", oneOf("HASH", "RANGE")))
	keySchema  = list(keyPart, 1, 2)
	longSchema = list(keyPart, 1, 0) // of a global index, whose check says how many are too many
	projected  = structure("Projection", may("ProjectionType", oneOf("ALL", "INCLUDE", "KEYS_ONLY")), may("NonKeyAttributes", list(attrName, 1, 20)))
	attributes = list(structure("AttributeDefinition", must("AttributeName", attrName), must("AttributeType", oneOf("B", "N", "S"))), 0, 0)
	stream     = structure("StreamSpecification", must("StreamEnabled", boolean),
		may("StreamViewType", oneOf("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")))
	sse        = structure("SSESpecification", may("Enabled", boolean), may("SSEType", oneOf("AES256", "KMS")), may("KMSMasterKeyId", anyText))
	billing    = may("BillingMode", oneOf("PROVISIONED", "PAY_PER_REQUEST"))
	tableClass = may("TableClass", oneOf("STANDARD", "STANDARD_INFREQUENT_ACCESS"))
	tag        = structure("Tag", must("Key", text(1, 128)), must("Value", text(0, 256)))
	token      = may("ClientRequestToken", text(1, 36))
)

// Parameters of operations. The order of members is that in which AWS tells broken constraints.
var (
	getItemParams = structure("GetItemInput", toGet, consumed, itemKey, tableName, consistent, projection, names)

	putItemParams = structure("PutItemInput", consumed, tableName, must("Item", itemMap), returned, metrics, expected, operator,
		condition, names, values, onFailure)

	deleteItemParams = structure("DeleteItemInput", consumed, tableName, returned, metrics, itemKey, expected, operator,
		condition, names, values, onFailure)

	updateItemParams = structure("UpdateItemInput", consumed, tableName, metrics, returned, itemKey, expected, operator,
		may("AttributeUpdates", mapOf(structure("AttributeValueUpdate", may("Action", oneOf("ADD", "DELETE", "PUT")), may("Value", value)))),
		may("UpdateExpression", anyText), condition, names, values, onFailure)

	readFields = []field{
		may("Select", oneOf("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")),
		may("IndexName", name), may("TotalSegments", whole(1, 1_000_000)), consumed,
		may("QueryFilter", conditions), tableName, operator, may("ScanFilter", conditions), may("Segment", whole(0, 999_999)),
		may("Limit", whole(1, 0)), toGet, may("KeyConditions", conditions), consistent, may("ScanIndexForward", boolean),
		may("ExclusiveStartKey", itemMap), may("KeyConditionExpression", anyText), may("FilterExpression", anyText),
		projection, names, values,
	}
	queryParams = structure("QueryInput", without(readFields, "TotalSegments", "Segment", "ScanFilter")...)
	scanParams  = structure("ScanInput", without(readFields, "QueryFilter", "KeyConditions", "KeyConditionExpression", "ScanIndexForward")...)

	batchGetParams = structure("BatchGetItemInput", consumed,
		must("RequestItems", &shape{kind: aMap, min: 1, max: 100, keys: name, of: structure("KeysAndAttributes",
			must("Keys", list(itemMap, 1, 100)), toGet, consistent, projection, names)}))

	batchWriteParams = structure("BatchWriteItemInput", consumed, metrics,
		must("RequestItems", &shape{kind: aMap, min: 1, max: 25, keys: name, of: list(structure("WriteRequest",
			may("DeleteRequest", structure("DeleteRequest", itemKey)), may("PutRequest", structure("PutRequest", must("Item", itemMap)))), 1, 25)}))

	transactGetParams = structure("TransactGetItemsInput", consumed,
		must("TransactItems", list(structure("TransactGetItem", must("Get", structure("Get", itemKey, tableName, projection, names))), 1, 100)))

	transactWriteParams = structure("TransactWriteItemsInput", consumed, metrics, token,
		must("TransactItems", list(structure("TransactWriteItem",
			may("ConditionCheck", structure("ConditionCheck", itemKey, tableName, must("ConditionExpression", anyText), names, values, onFailure)),
			may("Put", structure("Put", must("Item", itemMap), tableName, condition, names, values, onFailure)),
			may("Delete", structure("Delete", itemKey, tableName, condition, names, values, onFailure)),
			may("Update", structure("Update", itemKey, must("UpdateExpression", anyText), tableName, condition, names, values, onFailure))), 1, 100)))

	globalIndex = structure("GlobalSecondaryIndex", must("IndexName", name), must("KeySchema", longSchema), must("Projection", projected),
		may("ProvisionedThroughput", throughput), may("OnDemandThroughput", onDemand), may("WarmThroughput", warm))

	createTableParams = structure("CreateTableInput", billing, must("AttributeDefinitions", attributes), tableName,
		may("ProvisionedThroughput", throughput), must("KeySchema", keySchema),
		may("LocalSecondaryIndexes", list(structure("LocalSecondaryIndex", must("IndexName", name), must("KeySchema", keySchema), must("Projection", projected)), 0, 0)),
		may("GlobalSecondaryIndexes", list(globalIndex, 0, 0)),
		may("StreamSpecification", stream), may("SSESpecification", sse), may("Tags", list(tag, 0, 0)), tableClass,
		may("DeletionProtectionEnabled", boolean), may("OnDemandThroughput", onDemand), may("WarmThroughput", warm), may("ResourcePolicy", anyText),
		may("TimeToLiveSpecification", ttlSpec)) // of templates only

	tableParams = structure("DescribeTableInput", tableName)

	updateTableParams = structure("UpdateTableInput", may("AttributeDefinitions", attributes), tableName, billing,
		may("ProvisionedThroughput", throughput),
		may("GlobalSecondaryIndexUpdates", list(structure("GlobalSecondaryIndexUpdate",
			may("Update", structure("UpdateGlobalSecondaryIndexAction", must("IndexName", name), must("ProvisionedThroughput", throughput),
				may("OnDemandThroughput", onDemand), may("WarmThroughput", warm))),
			may("Create", &shape{kind: aStructure, name: "CreateGlobalSecondaryIndexAction", fields: globalIndex.fields}),
			may("Delete", structure("DeleteGlobalSecondaryIndexAction", must("IndexName", name)))), 0, 0)),
		may("StreamSpecification", stream), may("SSESpecification", sse), tableClass,
		may("DeletionProtectionEnabled", boolean), may("OnDemandThroughput", onDemand), may("WarmThroughput", warm),
		may("ReplicaUpdates", list(structure("ReplicationGroupUpdate"), 1, 0)))

	listTablesParams = structure("ListTablesInput", may("ExclusiveStartTableName", name), may("Limit", whole(1, 100)))

	ttlSpec         = structure("TimeToLiveSpecification", must("Enabled", boolean), must("AttributeName", attrName))
	updateTTLParams = structure("UpdateTimeToLiveInput", must("TimeToLiveSpecification", ttlSpec), tableName)

	updateBackupsParams = structure("UpdateContinuousBackupsInput", tableName, must("PointInTimeRecoverySpecification",
		structure("PointInTimeRecoverySpecification", must("PointInTimeRecoveryEnabled", boolean), may("RecoveryPeriodInDays", whole(1, 35)))))

	resource       = may("ResourceArn", text(0, 1283))
	tagParams      = structure("TagResourceInput", resource, must("Tags", list(tag, 0, 0)))
	untagParams    = structure("UntagResourceInput", resource, must("TagKeys", list(text(1, 128), 0, 0)))
	listTagsParams = structure("ListTagsOfResourceInput", resource, may("NextToken", anyText))
)

// without is a list of members less some.
func without(fields []field, names ...string) []field {
	var rest []field
next:
	for _, f := range fields {
		for _, n := range names {
			if f.name == n {
				continue next
			}
		}
		rest = append(rest, f)
	}
	return rest
}
