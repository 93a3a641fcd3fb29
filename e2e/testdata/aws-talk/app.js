const { DynamoDBClient, PutItemCommand, DeleteItemCommand, ScanCommand } = require("@aws-sdk/client-dynamodb");
const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi");
const db = new DynamoDBClient({});
exports.guard = async (e) => ({ principalId: "u", policyDocument: { Version: "2012-10-17", Statement: [{ Action: "execute-api:Invoke", Effect: e.queryStringParameters.name === "mallory" ? "Deny" : "Allow", Resource: e.methodArn }] } });
exports.door = async (e) => {
  const c = e.requestContext;
  if (c.eventType === "CONNECT") await db.send(new PutItemCommand({ TableName: process.env.PEOPLE, Item: { id: { S: c.connectionId } } }));
  else await db.send(new DeleteItemCommand({ TableName: process.env.PEOPLE, Key: { id: { S: c.connectionId } } }));
  return { statusCode: 200 };
};
exports.say = async (e) => {
  const c = e.requestContext;
  if (c.routeKey === "$default") return { statusCode: 200, body: "say what?" };
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${c.domainName}/${c.stage}` });
  const { Items } = await db.send(new ScanCommand({ TableName: process.env.PEOPLE }));
  await Promise.all(Items.map((i) => api.send(new PostToConnectionCommand({ ConnectionId: i.id.S, Data: JSON.parse(e.body).text }))));
  return { statusCode: 200 };
};
exports.who = async () => ({ statusCode: 200, body: String((await db.send(new ScanCommand({ TableName: process.env.PEOPLE }))).Items.length) });
