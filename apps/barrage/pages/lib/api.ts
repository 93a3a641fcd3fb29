// The wall's HTTP API and what it speaks of.

export interface Stats {
  messages: number;
  likes: number;
  online: number;
  screens: number;
  admins: number;
}

export interface Settings {
  id: number;
  status: 0 | 1 | 2;
  filterWords: string;
  action: 'mask' | 'hold';
  rate: number;
  title: string;
}

/** A row of the barrage table, as moderators see it. */
export interface Message {
  gid: number;
  id: number;
  fromId: string;
  fromName: string;
  color: string;
  fontSize: string;
  checkStatus: number;
  sendTime: string;
  checkTime: string;
  message: string;
  original?: string;
  likes: number;
}

/** One thing that the wall tells a page over the socket. */
export interface Frame {
  type: 'message' | 'hearts' | 'erase' | 'screen' | 'title' | 'waiting' | 'passed' | 'decided' | 'settings' | 'state';
  id?: number;
  cid?: string;
  from?: string;
  fromName?: string;
  message?: string;
  fontSize?: string;
  color?: string;
  sendTime?: string;
  checkTime?: string;
  checkStatus?: number;
  ids?: number[];
  n?: number;
  action?: string;
  messages?: Message[];
  settings?: Settings;
}

export interface Wall extends Stats {
  now: number;
  room: string;
  title: string;
  paused: boolean;
  clearedAt: number;
  public?: string; // address under which phones reach the wall
  registered: boolean;
  recent?: Frame[];
}

export interface Receipt {
  cid: string;
  id: number;
  checkStatus: number;
}

/** What went wrong, by the API's own code; `offline` when there was no answer at all. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    readonly retryAfter = 0, // seconds
  ) {
    super(code);
  }
  /** Whether the same call may work later. */
  get temporary(): boolean {
    return ['offline', 'unavailable', 'busy', 'slow'].includes(this.code);
  }
}

/** Calls the API. Throws an ApiError for anything but success. */
export async function call<T>(method: string, path: string, body?: unknown, token?: string): Promise<T> {
  let answer: Response;
  let data: any;
  try {
    answer = await fetch('/api' + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(token ? { Authorization: 'Bearer ' + token } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    data = await answer.json();
  } catch {
    throw new ApiError('offline');
  }
  if (answer.ok) return data as T;
  throw new ApiError(data.error ?? 'unavailable', data.retryAfter ?? 0);
}
