// The questions of `init` at a terminal: a NAS and its shares, then MCP servers.
import type { FoundServer } from "../../api/found-server.ts";
import { connectionOf } from "../../config/edit/new-backend.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { WantedBackend } from "./init-text.ts";
import { askNas, type NasTools, type Person, retry, type Wrong } from "./nas-questions.ts";

export type Wishes = Awaited<ReturnType<typeof askWishes>>;

export const NOTHING: Wishes = { shares: [], backends: [], secrets: [] };

export interface InitTools extends NasTools {
  /** What would be wrong with a configuration that has these, too; null: nothing. */
  readonly whatIsWrong: (wishes: Wishes) => Promise<string | null>;
}

export async function askWishes(person: Person, servers: readonly FoundServer[], tools: InitTools) {
  const nas = await askNas(person, servers, tools);
  return {
    shares: nas?.shares ?? [],
    /** What was typed for them, by the names that they refer to. */
    secrets: nas?.secret ? [nas.secret] : [],
    backends: await askBackends(person, tools),
  };
}

async function askBackends(person: Person, { whatIsWrong }: InitTools): Promise<readonly WantedBackend[]> {
  const backends: WantedBackend[] = [];
  for (;;) {
    const backend = await retry(async () => {
      const name = await person.ask("An MCP server to serve: what to call it, such as files (empty: none): ");
      if (name === "") return { right: null };
      const connection = await retry(async () => {
        const how = await person.ask(`  The command line of ${name}, or its address (https://…): `);
        return how === "" ? { wrong: "a server has one of both" } : readConnection(how);
      }, person);
      const wrong = await whatIsWrong({ ...NOTHING, backends: [...backends, { name, connection }] });
      return wrong === null ? { right: { name, connection } } : { wrong };
    }, person);
    if (backend === null) return backends;
    backends.push(backend);
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
