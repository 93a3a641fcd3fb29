import { all, come, go, tell } from "./people";

export const door = async (event: any) => {
  const { connectionId: id, eventType, authorizer } = event.requestContext;
  await (eventType === "CONNECT" ? come({ id, name: authorizer.principalId }) : go(id));
  return { statusCode: 200 };
};

export const say = async (event: any) => {
  if (event.requestContext.routeKey === "$default") return { statusCode: 200, body: "say what?" };
  const { text } = JSON.parse(event.body);
  await Promise.all((await all()).map((person) => tell(person.id, text)));
  return { statusCode: 200 };
};

export const who = async () => ({ statusCode: 200, body: (await all()).map((person) => person.name).sort().join() });
