/** Keys that calls are signed with. */
export interface Credentials {
    accessKeyId: string;
    secretAccessKey: string;
    sessionToken?: string;
}
export interface Options {
    /** `https://{domainName}/{stage}`; default AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI, then AWS_ENDPOINT_URL. */
    endpoint?: string;
    /** In signatures; default AWS_REGION, then us-east-1. */
    region?: string;
    /** Default: those of the environment, which sluice gives to every function. */
    credentials?: Credentials;
}
/** What became of a message to many. */
export interface Result {
    /** To so many connections. */
    sent: number;
    /** These are closed: forget them. */
    gone: string[];
    /** These could not be reached now. */
    failed: {
        connectionId: string;
        code: string;
    }[];
}
/** Text arrives as text, bytes that are not UTF-8 as a binary message. At most 128 KB. */
export type Data = string | Uint8Array;
/** An answer that is not a success. `name` is the code: GoneException, LimitExceededException … */
export declare class ConnectionsError extends Error {
    readonly status: number;
    constructor(status: number, name: string | null, message?: string);
}
/** A client of the management API of one stage, with sluice's extensions: many connections in one call, and groups. */
export declare class Connections {
    #private;
    constructor({ endpoint, region, credentials }?: Options);
    /** Sends to one connection. */
    send(id: string, data: Data): Promise<void>;
    /** Closes a connection. */
    close(id: string): Promise<void>;
    /** Sends one message to many connections. */
    sendMany(ids: Iterable<string>, data: Data): Promise<Result>;
    /** Takes a connection into a group of this stage; it leaves when it closes. */
    join(group: string, id: string): Promise<void>;
    /** Takes a connection out of a group. */
    leave(group: string, id: string): Promise<void>;
    /** Sends to all members of a group, save some; resolves to how many. */
    sendGroup(group: string, data: Data, { except }?: {
        except?: string[];
    }): Promise<number>;
    /** Counts the members of a group. */
    groupSize(group: string): Promise<number>;
}
