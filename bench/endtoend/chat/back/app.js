import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';

let api = null;

export const handler = async (event) => {
  const { apiId, stage, connectionId: ConnectionId } = event.requestContext;
  api ??= new ApiGatewayManagementApiClient({
    endpoint: process.env.PUSH ?? `https://${apiId}.execute-api.${process.env.AWS_REGION}.amazonaws.com/${stage}`,
  });
  await api.send(new PostToConnectionCommand({ ConnectionId, Data: 'back ' + JSON.parse(event.body).data }));
  return { statusCode: 200 };
};
