// The questions of `init` at a terminal: a NAS and its shares, then MCP servers.
import type { FoundServer } from "../../api/setup/found-server.ts";
import { connectionOf } from "../../config/edit/new-backend.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { WantedBackend } from "./init-text.ts";
import { type NasTools, type Person, promptNas, retry, type Wrong } from "./nas-questions.ts";

export type InitChoices = Awaited<ReturnType<typeof promptChoices>>;

export const NOTHING: InitChoices = { shares: [], backends: [], secrets: [] };

export interface InitTools extends NasTools {
  /** The first error that the configuration has with these choices; null if there is none. */
  readonly whatIsWrong: (choices: InitChoices) => Promise<string | null>;
}

export async function promptChoices(person: Person, servers: readonly FoundServer[], tools: InitTools) {
  const nas = await promptNas(person, servers, tools);
  return {
    shares: nas?.shares ?? [],
    /** Typed passwords, with the names by which the shares refer to them. */
    secrets: nas?.secret ? [nas.secret] : [],
    backends: await promptBackends(person, tools),
  };
}

/** Stands for the connection while a backend's name is checked. */
const ANY_CONNECTION: WantedBackend["connection"] = { command: "true", args: [] };

async function promptBackends(person: Person, { whatIsWrong }: InitTools): Promise<readonly WantedBackend[]> {
  const backends: WantedBackend[] = [];
  const whatIsWrongWith = (backend: WantedBackend) =>
    whatIsWrong({ ...NOTHING, backends: [...backends, backend] });
  for (;;) {
    const name = await retry(async () => {
      const typed = await person.prompt(
        "An MCP server to serve: what to call it, such as files (empty: none): ",
      );
      const wrong = typed === "" ? null : await whatIsWrongWith({ name: typed, connection: ANY_CONNECTION });
      return wrong === null ? { right: typed } : { wrong };
    }, person);
    if (name === "") return backends;
    const connection = await retry(async () => {
      const how = await person.prompt(`  The command line of ${name}, or its address (https://…): `);
      const read = how === "" ? { wrong: "a server has one of them" } : readConnection(how);
      const wrong = "wrong" in read ? read.wrong : await whatIsWrongWith({ name, connection: read.right });
      return wrong === null ? read : { wrong };
    }, person);
    backends.push({ name, connection });
  }
}

function readConnection(text: string): { readonly right: WantedBackend["connection"] } | Wrong {
  try {
    return { right: connectionOf(text) };
  } catch (error) {
    if (error instanceof MountaineerError) return { wrong: error.message };
    throw error;
  }
}
