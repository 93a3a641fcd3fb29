import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, DeleteCommand, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const api = new ApiGatewayManagementApiClient({ endpoint: process.env.ENDPOINT });
const TableName = process.env.PEOPLE;

export type Person = { id: string; name: string };

export const come = (person: Person) => table.send(new PutCommand({ TableName, Item: person }));
export const go = (id: string) => table.send(new DeleteCommand({ TableName, Key: { id } }));
export const all = async (): Promise<Person[]> => ((await table.send(new ScanCommand({ TableName }))).Items ?? []) as Person[];
export const tell = (id: string, text: string) => api.send(new PostToConnectionCommand({ ConnectionId: id, Data: Buffer.from(text) }));
