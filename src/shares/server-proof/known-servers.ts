// The known servers of a share, on disk under random ids, each with the fingerprint that recognizes it. The fingerprint
// is written after each verification.
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { recoverFrom } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import {
  flag,
  list,
  nullable,
  number,
  numberThat,
  object,
  optional,
  reader,
  type TypeOf,
  text,
} from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import {
  FIRST_SERVER,
  foldingShape,
  isServerId,
  serverFolder,
  serversFolder,
  shareFiles,
} from "../drivers/share-files.ts";
import type { ShareSpec } from "../share-spec.ts";
import type { ListedEntry } from "./root-listing.ts";

export const KNOWN_ENTRIES_AT_MOST = 64;

const entryShape = object({
  name: text,
  isFolder: flag,
  size: nullable(number),
  modifiedMs: number,
  /** `modifiedMs` is a multiple of this number. */
  precisionMs: numberThat("a number from 1", (ms) => ms >= 1),
  /** A creation time that cannot change (`Birth.isOwn`); null: not known. */
  createdMs: nullable(number),
});
export type KnownEntry = ListedEntry & Readonly<TypeOf<typeof entryShape>>;

const fingerprintShape = object({
  serverGuid: text,
  /** The root's creation time, if it cannot change (`Birth.isOwn`); null: not known. */
  rootCreatedMs: nullable(number),
  entries: list(entryShape, KNOWN_ENTRIES_AT_MOST),
  /** Absent: recorded by an earlier version. */
  folding: optional(foldingShape),
});
export type ServerFingerprint = Omit<Readonly<TypeOf<typeof fingerprintShape>>, "entries"> & {
  readonly entries: readonly KnownEntry[];
};
const fingerprintOf: (value: unknown) => ServerFingerprint | null = reader(fingerprintShape);

/** A server from which a share was mounted, or on which it was found. */
export interface KnownServer {
  readonly id: string;
  readonly shareName: string;
  /** Where the server was last seen, `//HOST/SHARE`; null: recorded by an earlier version. */
  readonly source: string | null;
  /** The evidence by which a proof recognizes the server; null: the server was never proved. */
  readonly witness: ServerFingerprint | null;
}

const VERSION = 2;

export function newServerId(): string {
  return randomBytes(8).toString("hex");
}

export type KnownServers = ReturnType<typeof createKnownServers>;

export function createKnownServers(stateFolder: string) {
  const folderOf = (share: Pick<ShareSpec, "name">): string => shareFiles(stateFolder, share.name).folder;
  const pathOf = (share: Pick<ShareSpec, "name">, id: string): string =>
    join(serverFolder(folderOf(share), id), "server.json");

  const read = async (share: Pick<ShareSpec, "name">, id: string): Promise<KnownServer | null> => {
    const known = parseServer(id, await readIfPresent(pathOf(share, id)));
    if (known !== null || id !== FIRST_SERVER) return known;
    return parseServer(id, await readIfPresent(join(folderOf(share), "server.json")));
  };

  return {
    /**
     * All servers from which the share was mounted, or on which it was found, under any share name. Rejects with the
     * system's error: a server whose file cannot be read must not count as new.
     */
    async list(share: Pick<ShareSpec, "name">): Promise<readonly KnownServer[]> {
      const ids = new Set([
        FIRST_SERVER,
        ...(await readdir(serversFolder(folderOf(share))).catch(recoverFrom("ENOENT", []))),
      ]);
      const servers = await Promise.all([...ids].filter(isServerId).map((id) => read(share, id)));
      return servers.filter((server) => server !== null);
    },
    /**
     * Stores a server with its evidence. Rejects with the system's error: unsent files must not be kept for a
     * server that cannot be recognized later.
     */
    async keep(share: Pick<ShareSpec, "name">, server: KnownServer): Promise<void> {
      const path = pathOf(share, server.id);
      const content = serverText(server);
      if ((await readIfPresent(path)) === content) return;
      await ensureFolder(serverFolder(folderOf(share), server.id), 0o700);
      await writeDurably(path, content, { mode: 0o600 });
    },
  };
}

function serverText({ shareName, source, witness }: KnownServer): string {
  return `${JSON.stringify({ version: VERSION, shareName, source, witness })}\n`;
}

/** Parses a server's file; null: it is incomplete, or of an unknown version. */
function parseServer(id: string, content: string | null): KnownServer | null {
  const members = jsonObject(content ?? "") ?? {};
  const { version, shareName, source, witness } = members;
  if (typeof shareName !== "string") return null;
  // In version 1, a share had one server, and the evidence (`witness`) was at the top level of the file.
  const known = version === 1 ? members : witness;
  if (version !== 1 && version !== VERSION) return null;
  return { id, shareName, source: typeof source === "string" ? source : null, witness: fingerprintOf(known) };
}
