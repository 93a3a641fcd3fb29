import { all, tell } from "./people";

export const ring = async (event: any) => {
  for (const record of event.Records) {
    const { id, name } = record.dynamodb.NewImage;
    for (const person of await all()) if (person.id !== id.S) await tell(person.id, `ding: ${name.S}`);
  }
};
