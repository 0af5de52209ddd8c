// Owns which client was sent to which URL, so that the server's word that it is done reaches that client alone.
import type { ClientPort } from "../../client-port.ts";
import { isJsonObject, type RpcError } from "../../json-rpc.ts";

/** The error by which a server says that URLs have to be visited first. */
const URL_ELICITATION_REQUIRED = -32042;
const REMEMBERED = 1_000;

interface ElicitationRecord {
  readonly client: ClientPort;
  /** Our id of the call that it came with. */
  readonly call: number | null;
}

export interface Elicitations {
  remember(elicitationId: unknown, record: ElicitationRecord): void;
  /** Those that an error reply asks for, if it does. */
  rememberError(error: RpcError, record: ElicitationRecord): void;
  find(elicitationId: unknown): ElicitationRecord | null;
  forget(client: ClientPort): void;
}

/** At most 1,000 are remembered; the oldest go first. */
export function createElicitations(): Elicitations {
  const records = new Map<string, ElicitationRecord>();
  const remember = (elicitationId: unknown, record: ElicitationRecord): void => {
    if (typeof elicitationId !== "string") return;
    records.delete(elicitationId);
    records.set(elicitationId, record);
    if (records.size > REMEMBERED) for (const oldest of records.keys()) return void records.delete(oldest);
  };
  return {
    remember,
    rememberError(error, record) {
      if (error.code !== URL_ELICITATION_REQUIRED || !isJsonObject(error.data)) return;
      const { elicitations } = error.data;
      if (!Array.isArray(elicitations)) return;
      for (const entry of elicitations.slice(0, REMEMBERED)) {
        if (isJsonObject(entry)) remember(entry["elicitationId"], record);
      }
    },
    find: (elicitationId) =>
      typeof elicitationId === "string" ? (records.get(elicitationId) ?? null) : null,
    forget(client) {
      for (const [id, record] of records) if (record.client === client) records.delete(id);
    },
  };
}
