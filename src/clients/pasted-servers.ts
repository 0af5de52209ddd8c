// Reads servers from JSON as people paste it: with code fences, comments or commas around it, in parts, or without the
// object that a client's file has around its servers.

import { createScanner } from "jsonc-parser";
import { TEXT_BOUNDS } from "../runtime/text/bounds.ts";
import { isObject, type JsonMembers } from "../runtime/text/json-object.ts";
import { withoutByteOrderMark } from "../runtime/text/plain-text.ts";
import type { ClientSurroundings } from "./client.ts";
import { clientValues, unreadable } from "./client-text.ts";
import { isServerEntry } from "./entry-keys.ts";
import type { FoundFile } from "./import-plan.ts";
import { serversIn } from "./read-files.ts";
import { serverName } from "./started-program.ts";

const TITLE = "the pasted text";
const MOST_SERVERS = 1000;
const TOO_MANY = `${TITLE} has more than ${MOST_SERVERS} servers`;

/** The servers of the text, as of a file. Rejects with `client_unreadable`. */
export async function pastedFile(
  pasted: string,
  surroundings: ClientSurroundings,
  takenNames: ReadonlySet<string>,
): Promise<FoundFile> {
  if (Buffer.byteLength(pasted) > TEXT_BOUNDS.pasted.most)
    throw unreadable(`${TITLE} is larger than 256 KiB`);
  const taken = new Set(takenNames);
  const found: Awaited<ReturnType<typeof serversIn>>[] = [];
  let count = 0;
  for (const value of await pastedValues(pasted)) {
    const named = isServerEntry(value) ? { [serverName(value)]: value } : value;
    const file = await serversIn(
      named,
      { client: null, folder: null, path: "-", format: "json" },
      surroundings,
      taken,
    );
    found.push(file);
    count += file.servers.length;
    if (count > MOST_SERVERS) throw unreadable(TOO_MANY);
  }
  return {
    ...{ path: TITLE, title: TITLE, isOfFolder: false },
    servers: found.flatMap(({ servers }) => servers),
    empty: found.flatMap(({ empty }) => empty),
    elsewhere: found.flatMap(({ elsewhere }) => elsewhere),
  };
}

/** The objects of the text. Members outside of an object count as members of one. */
async function pastedValues(pasted: string): Promise<readonly JsonMembers[]> {
  const text = withWholeBackslashes(withoutFences(withoutByteOrderMark(pasted)));
  const scanner = createScanner(text, true);
  const values: JsonMembers[] = [];
  let members: Record<string, unknown> = {};
  let key: string | null = null;
  const endMembers = (): void => {
    if (Object.keys(members).length > 0) values.push(members);
    members = {};
  };
  while (true) {
    if (values.length > MOST_SERVERS) throw unreadable(TOO_MANY);
    scanner.scan();
    const start = scanner.getTokenOffset();
    const first = text.charAt(start);
    if (scanner.getTokenLength() === 0 && start >= text.length) break;
    // A part of a file begins or ends with what belongs to the rest of it.
    if (/^[,;:}\]]$/.test(first)) continue;
    if (first === '"' && key === null) {
      key = scanner.getTokenValue();
      continue;
    }
    for (let depth = first === "{" || first === "[" ? 1 : 0; depth > 0; ) {
      scanner.scan();
      const next = text.charAt(scanner.getTokenOffset());
      if (scanner.getTokenLength() === 0) break;
      if (next === "{" || next === "[") depth++;
      else if (next === "}" || next === "]") depth--;
    }
    const value = await clientValues(text.slice(start, scanner.getPosition()), TITLE, "json");
    if (key !== null) {
      if (key in members) endMembers();
      members[key] = value;
      key = null;
    } else if (isObject(value)) values.push(value);
    else if (Array.isArray(value)) values.push({ mcpServers: value });
    else throw unreadable(`${TITLE} has ${JSON.stringify(value)} where a server was expected`);
  }
  endMembers();
  return values;
}

/** Only what is within code fences, if there are any. Lines that begin with `#` are comments of a shell. */
function withoutFences(text: string): string {
  const pieces = text.split("```");
  const fenced = pieces.flatMap((piece, at) => {
    const isClosed = at % 2 === 1 && at < pieces.length - 1;
    return isClosed && /^[ \t]*\w*\s/.test(piece) ? [piece.replace(/^[ \t]*\w*\s/, "")] : [];
  });
  return (fenced.length === 0 ? text : fenced.join("\n")).replace(/^[ \t]*(?:#|```).*$/gm, "");
}

/** A string that is not closed also matches: otherwise each of its quotes would be tried as the beginning of one. */
const STRING = /"(?:[^"\\\n]|\\.)*"?/g;
/** What JSON does not allow, and a drive of Windows whose separator is the beginning of an escape. */
const BROKEN_ESCAPE = /(?<!\\)(?:\\\\)*\\(?:[^"\\/bfnrtu]|u(?![0-9A-Fa-f]{4}))|\b[A-Za-z]:\\(?![\\/"])/;

/** Doubles the backslashes of strings that have paths of Windows as people type them. */
function withWholeBackslashes(text: string): string {
  return text.replace(STRING, (string) =>
    BROKEN_ESCAPE.test(string)
      ? string.replace(/\\+(?!")/g, (run) => (run.length === 1 ? "\\\\" : run))
      : string,
  );
}
