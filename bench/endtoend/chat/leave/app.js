import { DynamoDBClient, DeleteItemCommand } from '@aws-sdk/client-dynamodb';

const client = new DynamoDBClient({});

export const handler = async ({ requestContext }) => {
  await client.send(new DeleteItemCommand({
    TableName: process.env.PEOPLE, Key: { connectionId: { S: requestContext.connectionId } },
  }));
  return { statusCode: 200 };
};
