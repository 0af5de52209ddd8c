// The operator key that this machine trusts: the one in its configuration, or the one that handovers lead to. Accepted
// handovers are kept in the home for good.
import { join } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { handoversTo, type KeyHandover, keysFrom, readHandovers } from "./key-handovers.ts";
import { type LayerReading, readSignedLayer } from "./signed-layer.ts";

const VERSION = 1;
/**
 * Maximum number of kept handovers, more than any fleet needs. Without a limit, the holder of a key could
 * fill the disk.
 */
const MOST_KEPT = 200;

export type Trust = Awaited<ReturnType<typeof readTrust>>;

function trustPath(home: string): string {
  return join(home, "fleet", "operator.json");
}

/**
 * Reads the handovers in the home. Rejects with `fleet_unreachable` for a damaged file: if it were ignored, a
 * replaced key would be trusted again.
 */
async function keptHandovers(home: string): Promise<readonly KeyHandover[]> {
  const file = trustPath(home);
  const text = await readIfPresent(file);
  if (text === null) return [];
  const { version, handovers } = jsonObject(text) ?? {};
  const all = version === VERSION ? readHandovers(handovers, MOST_KEPT) : null;
  if (all !== null) return all;
  throw new MountaineerError("fleet_unreachable", `${file} is not as it was written`, {
    hint: "remove it once [fleet].operator is the key that counts now: the operator's machine says it",
  });
}

/**
 * `line`: the key in the machine's configuration, `U…`. Resolves with the current key (`operator`), the
 * `earlier` keys, oldest first, and all accepted handovers.
 */
export async function readTrust(home: string, line: string) {
  const handovers = await keptHandovers(home);
  const keys = keysFrom(line, handovers);
  const operator = keys.at(-1) ?? line;
  const before = handoversTo(operator, handovers).map(({ from }) => from);
  return { line, operator, earlier: [...new Set([...before, ...keys.slice(0, -1)])], handovers };
}

export type OperatorTrust = ReturnType<typeof createOperatorTrust>;

interface TrustOptions {
  readonly home: string;
  readonly line: string;
  readonly onHandover: (handover: KeyHandover) => void;
}

export function createOperatorTrust({ home, line, onHandover }: TrustOptions) {
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  };
  const keep = async (handovers: readonly KeyHandover[]): Promise<void> => {
    if (handovers.length > MOST_KEPT) {
      throw new MountaineerError("fleet_unreachable", "the operator's key was exchanged too often", {
        hint: "set [fleet].operator to the key that counts now, and remove fleet/operator.json",
      });
    }
    const text = `${JSON.stringify({ version: VERSION, handovers }, null, 2)}\n`;
    await keepPrivateFile(trustPath(home), text, { mode: 0o600 });
  };
  return {
    /** Rejects as `check` does. */
    read: (): Promise<Trust> => inTurn(() => readTrust(home, line)),
    /**
     * Checks a document. Handovers in a valid document are accepted, and are durable when this resolves. Rejects with
     * `fleet_unreachable`, and with the disk's error.
     */
    check: (document: Uint8Array): Promise<LayerReading> =>
      inTurn(async () => {
        const trust = await readTrust(home, line);
        const reading = readSignedLayer(document, trust);
        if (reading.ok && reading.steps.length > 0) {
          await keep([...trust.handovers, ...reading.steps]);
          for (const step of reading.steps) onHandover(step);
        }
        return reading;
      }),
  };
}
