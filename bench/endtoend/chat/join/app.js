import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export async function handler({ requestContext: { connectionId } }) {
  await table.send(new PutCommand({ TableName: process.env.PEOPLE, Item: { connectionId } }));
  return { statusCode: 200 };
}
