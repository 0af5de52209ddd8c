// The questions of `init` at a terminal: a NAS and its shares, or MCP servers.
import type { FoundServer } from "../../api/setup/found-server.ts";
import { connectionOf } from "../../config/edit/new-backend.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { findCommand } from "../../runtime/process/find-program.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { meaningOf } from "../input/confirm.ts";
import type { WantedBackend } from "./init-text.ts";
import { type NasTools, type Person, promptNas, retry, type Wrong } from "./nas-questions.ts";

export type InitChoices = Awaited<ReturnType<typeof promptChoices>>;

export const NOTHING: InitChoices = { shares: [], backends: [], secrets: [] };

export interface InitTools extends NasTools {
  /** The first error that the configuration has with these choices; null if there is none. */
  readonly whatIsWrong: (choices: InitChoices) => Promise<string | null>;
  /** A client of MCP servers has a file on this machine. */
  readonly hasClient: boolean;
}

const NO_NAS =
  "No NAS was found. If you have one: mountaineer init --add --share NAME --fallback-host ITS-ADDRESS";

export async function promptChoices(person: Person, servers: readonly FoundServer[], tools: InitTools) {
  // A person with a client and without a NAS is not asked about a NAS.
  const isForServers = servers.length === 0 && tools.hasClient;
  if (isForServers) person.print(NO_NAS);
  const nas = isForServers ? null : await promptNas(person, servers, tools);
  return {
    shares: nas?.shares ?? [],
    /** Typed passwords, with the names by which the shares refer to them. */
    secrets: nas?.secret ? [nas.secret] : [],
    // A person with a NAS gets no question about servers.
    backends: nas === null ? await promptBackends(person, tools) : [],
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
      const typed = (await person.prompt("An MCP server to serve: a name for it (empty: none): ")).trim();
      const meaning = meaningOf(typed);
      if (meaning === "" || meaning === "no") return { right: null };
      if (meaning === "yes") return { wrong: "type its name, such as files" };
      const wrong = await whatIsWrongWith({ name: typed, connection: ANY_CONNECTION });
      return wrong === null ? { right: typed } : { wrong };
    }, person);
    if (name === null) return backends;
    const question = `  The command line of ${name}, or its address (https://…; empty: another name): `;
    const connection = await retry(async () => {
      const typed = (await person.prompt(question)).trim();
      const meaning = meaningOf(typed);
      if (meaning === "" || meaning === "no") return { right: null };
      if (meaning === "yes") return { wrong: "type its command line or its address" };
      const read = readConnection(typed);
      const wrong =
        "wrong" in read
          ? read.wrong
          : ((await whatIsWrongWith({ name, connection: read.right })) ?? (await missingProgram(read.right)));
      return wrong === null ? read : { wrong };
    }, person);
    if (connection !== null) backends.push({ name, connection });
  }
}

/** Why the program cannot be started; null: it is found, or its path depends on its folder. */
async function missingProgram(connection: WantedBackend["connection"]): Promise<string | null> {
  if ("url" in connection || connection.command.includes("/")) return null;
  const { command } = connection;
  if ((await findCommand(command, "/", process.env["PATH"] ?? "")) !== null) return null;
  return `no program called ${printable(command)} is installed`;
}

function readConnection(text: string): { readonly right: WantedBackend["connection"] } | Wrong {
  try {
    return { right: connectionOf(text) };
  } catch (error) {
    if (error instanceof MountaineerError) return { wrong: error.message };
    throw error;
  }
}
