// The calls of a story: many in flight at any moment, and which of them were lost.
import { setTimeout as pause } from "node:timers/promises";
import { type LightClient, LightError } from "../mcp/light-client.ts";
import { pickOf } from "./gateway-edits.ts";
import type { Client, Seen } from "./gateway-model.ts";

const IN_FLIGHT = 32;
const LONGEST_CALL_MS = 300;
const INVALID_PARAMS = -32602;

export interface Calls extends AsyncDisposable {
  readonly begun: number;
  readonly lost: readonly string[];
  /**
   * Those that were begun while their tool was there and refused as unknown after an edit had taken it away: a request
   * that has not been read yet when the edit takes effect meets the new configuration.
   */
  readonly overtaken: number;
  /** What may be called from now on. */
  allow(next: ReadonlyMap<Client, Seen>): void;
  /** Ends when all that is in flight is answered. */
  finish(): Promise<void>;
}

interface Call {
  readonly client: Client;
  readonly called: string;
  readonly text: string;
  /** Whether an edit took the tool away since the call began. */
  toolWent: boolean;
}

/** Keeps 32 calls in flight, each answered after 0 to 300 ms, of what is allowed at that moment. */
export function startCalls(
  clients: ReadonlyMap<Client, LightClient>,
  first: ReadonlyMap<Client, Seen>,
  /** Where the story is, for people. */
  doing: () => string,
  random: () => number,
): Calls {
  let allowed = first;
  let begun = 0;
  let overtaken = 0;
  let going = true;
  const lost: string[] = [];
  const inFlight = new Set<Call>();
  const isAllowed = ({ client, called }: Call): boolean => allowed.get(client)?.usable.has(called) === true;

  const make = async (call: Call, connection: LightClient, ms: number): Promise<void> => {
    const startedAt = performance.now();
    const during = doing();
    const { client, called, text } = call;
    inFlight.add(call);
    try {
      const answer = await connection.call(called, { text, ms });
      if (answer !== text) lost.push(`${client} ${called}: answered ${answer} for ${text}`);
    } catch (error) {
      if (call.toolWent && isRefusal(error, called)) overtaken++;
      else {
        const tookMs = Math.round(performance.now() - startedAt);
        lost.push(
          `${client} ${called} after ${tookMs} ms: ${String(error)}; begun ${during}, ended ${doing()}`,
        );
      }
    } finally {
      inFlight.delete(call);
    }
  };
  const work = async (client: Client, connection: LightClient): Promise<void> => {
    while (going) {
      const usable = [...(allowed.get(client)?.usable ?? [])];
      if (usable.length === 0) {
        await pause(10);
        continue;
      }
      const [called, { tool: bare }] = pickOf(usable, random);
      const ms = bare === "sleep" ? Math.floor(random() * LONGEST_CALL_MS) : 0;
      await make({ client, called, text: `call ${++begun}`, toolWent: false }, connection, ms);
      // The tool `echo` answers at once: this is load, not a race of the test against itself.
      if (bare === "echo") await pause(random() * LONGEST_CALL_MS);
    }
  };
  const workers = Array.from({ length: IN_FLIGHT }, (_, index) => {
    const [client, connection] = [...clients][index % clients.size] ?? [];
    return client === undefined || connection === undefined ? Promise.resolve() : work(client, connection);
  });
  const finish = async (): Promise<void> => {
    going = false;
    await Promise.all(workers);
  };
  return {
    get begun() {
      return begun;
    },
    lost,
    get overtaken() {
      return overtaken;
    },
    allow(next) {
      allowed = next;
      for (const call of inFlight) call.toolWent ||= !isAllowed(call);
    },
    finish,
    [Symbol.asyncDispose]: finish,
  };
}

/** Whether the gateway itself says so: a backend's own words for a tool that it does not have are others. */
function isRefusal(error: unknown, called: string): boolean {
  return (
    error instanceof LightError &&
    error.code === INVALID_PARAMS &&
    error.message === `${INVALID_PARAMS}: Unknown tool: ${called}`
  );
}
