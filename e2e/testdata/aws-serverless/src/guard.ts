export const check = async (event: any) => ({
  principalId: event.queryStringParameters.name,
  policyDocument: {
    Version: "2012-10-17",
    Statement: [{ Action: "execute-api:Invoke", Effect: event.queryStringParameters.name === "mallory" ? "Deny" : "Allow", Resource: event.methodArn }],
  },
});
