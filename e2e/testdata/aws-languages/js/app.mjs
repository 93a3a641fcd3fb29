// Answers a message through the socket that it came by; tells its ear of changes of the table.
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';

export const handler = async (event) => {
  for (const r of event.Records ?? []) {
    const res = await fetch(process.env.EAR, { method: 'POST', body: `${r.eventName} ${r.dynamodb.Keys.id.S} ${event.Records.length}` });
    if (!res.ok) throw new Error('nobody hears');
  }
  if (event.Records) return;
  const { apiId, stage, connectionId } = event.requestContext;
  const endpoint = `https://${apiId}.execute-api.${process.env.AWS_REGION}.amazonaws.com/${stage}`;
  await new ApiGatewayManagementApiClient({ endpoint }).send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: 'from node' }));
  return { statusCode: 200 };
};
