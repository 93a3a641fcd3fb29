import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, ScanCommand } from '@aws-sdk/lib-dynamodb';
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const handler = async (event) => {
  const { apiId, stage } = event.requestContext;
  const api = new ApiGatewayManagementApiClient({
    endpoint: process.env.PUSH ?? `https://${apiId}.execute-api.${process.env.AWS_REGION}.amazonaws.com/${stage}`,
  });
  const Data = JSON.parse(event.body).data;
  const { Items } = await table.send(new ScanCommand({ TableName: process.env.PEOPLE, ProjectionExpression: 'connectionId' }));
  await Promise.all(Items.map(({ connectionId: ConnectionId }) => api.send(new PostToConnectionCommand({ ConnectionId, Data }))));
  return { statusCode: 200, body: 'said' };
};
