// A debugger of a Node process, as far as the tests of docs/project/development.md need one: the inspector's messages over a WebSocket.
import { ANSWERS_MS, eventually } from "../support/eventually.ts";

type Members = Readonly<Record<string, unknown>>;

interface DebuggerMessage {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Members;
  readonly result?: Members;
  readonly error?: { readonly message: string };
}

export interface Debugger extends AsyncDisposable {
  /** Rejects when no answer comes in 20 s, and with what the inspector refuses. */
  ask(method: string, params?: Members): Promise<Members>;
  /** What the inspector has told of that kind, oldest first. */
  told(method: string): readonly Members[];
}

/** What a process says on stderr when its debugger opens; a line is whole once its end is there. */
export async function debuggerUrl(stderr: () => Promise<string>): Promise<string> {
  return eventually(async () => /^Debugger listening on (ws:\S+)$/m.exec(wholeLines(await stderr()))?.[1]);
}

function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

export async function attachDebugger(url: string): Promise<Debugger> {
  const socket = new WebSocket(url);
  const messages: DebuggerMessage[] = [];
  let ended: string | null = null;
  socket.addEventListener("message", ({ data }) => messages.push(JSON.parse(String(data))));
  socket.addEventListener("error", () => {
    ended = "the connection broke";
  });
  socket.addEventListener("close", ({ code }) => {
    ended = `the inspector closed the connection (${code})`;
  });
  const unlessEnded = <T>(found: T | undefined): T | undefined => {
    if (found === undefined && ended !== null) throw new Error(ended);
    return found;
  };
  await eventually(() => unlessEnded(socket.readyState === WebSocket.OPEN || undefined), ANSWERS_MS);
  let lastId = 0;
  return {
    async ask(method, params = {}) {
      const id = ++lastId;
      socket.send(JSON.stringify({ id, method, params }));
      const answer = await eventually(() => unlessEnded(messages.find((message) => message.id === id)));
      if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
      return answer.result ?? {};
    },
    told: (method) =>
      messages.flatMap((message) => (message.method === method ? [message.params ?? {}] : [])),
    async [Symbol.asyncDispose]() {
      socket.close();
      await eventually(() => socket.readyState === WebSocket.CLOSED);
    },
  };
}
