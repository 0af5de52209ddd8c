// Which program an entry means: without the wrappers that only Windows needs, and without a proxy.
import type { JsonMembers } from "../runtime/text/json-object.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import { type ForeignServer, readForeignEntry } from "./entry-keys.ts";

const WINDOWS_END = /\.(?:cmd|exe|bat)$/i;

/** Removes wrappers that start a program only on Windows: `cmd /c`, `wsl`, `.cmd`. `report`: a line for each. */
export function withoutWrapper(server: ForeignServer, report: (line: string) => void): ForeignServer {
  const { command, args } = server;
  if (command === null) return server;
  const name = command.replace(WINDOWS_END, "");
  const [option = "", program, ...rest] = args;
  if (/^cmd$/i.test(name) && /^\/c$/i.test(option) && program !== undefined) {
    report("started without cmd /c");
    return withoutWrapper({ ...server, command: program, args: rest }, report);
  }
  if (/^wsl$/i.test(name)) {
    let { cwd } = server;
    let at = 0;
    for (; /^(?:-d|--distribution|--cd)$/.test(args[at] ?? ""); at += 2)
      if (args[at] === "--cd") cwd = args[at + 1] ?? cwd;
    if (/^(?:--|-e|--exec)$/.test(args[at] ?? "")) at++;
    const inner = args[at];
    if (inner === undefined || inner.startsWith("-")) return server;
    report("started without wsl: it must be on this machine");
    return { ...server, command: inner, args: args.slice(at + 1), cwd };
  }
  if (name !== command && !/[\\/]/.test(command)) {
    report(`${command} is ${name} here`);
    return { ...server, command: name };
  }
  if (args.length === 0 && !command.includes("\\") && /[&|;<>'"]/.test(command) && /\s/.test(command)) {
    report("its command is run by a shell");
    return { ...server, command: "sh", args: ["-c", command] };
  }
  if (!/^[\w@.-][^'"\\]*\s/.test(command)) return server;
  const [first = "", ...others] = command.trim().split(/\s+/);
  report("its command was split into words");
  return { ...server, command: first, args: [...others, ...args] };
}

// `npx mcp-remote ADDRESS` is a program that connects to an address. The imported backend connects to the address
// itself instead.
const RUNNER = /(?:^|[\\/])(?:npx|bunx|pnpx)(?:\.cmd)?$/i;
const PACKAGE = /^mcp-remote(?:@[\w.-]+)?$/;
const VARIABLE = new RegExp(`\\$\\{(${VARIABLE_NAME_FORM})\\}`, "g");
/** Options of mcp-remote without an effect on requests to the server. */
const IGNORED_FLAGS = new Set(["--debug", "--silent", "--allow-http"]);

/**
 * Replaces `mcp-remote` by the address that it connects to. Changes nothing if one of its arguments has no
 * counterpart in a backend.
 */
export function withoutProxy(server: ForeignServer): ForeignServer {
  const { command, args, env } = server;
  if (command === null || !RUNNER.test(command)) return server;
  const ownArgs = args.filter((arg, index) => !(arg === "-y" || arg === "--yes") || index > 0);
  const [program = "", url = "", ...options] = ownArgs;
  if (!PACKAGE.test(program) || !/^https?:\/\//.test(url)) return server;
  const headers: Record<string, string> = {};
  for (let index = 0; index < options.length; index++) {
    const option = options[index] ?? "";
    const value = options[index + 1] ?? "";
    if (IGNORED_FLAGS.has(option)) continue;
    index++;
    if (option === "--transport" && /^(?:http|sse)/.test(value)) continue;
    const [, name, content] = option === "--header" ? (/^([^:\s]+)\s*:\s*(.*)$/s.exec(value) ?? []) : [];
    if (name === undefined || content === undefined) return server;
    headers[name] = content.replace(VARIABLE, (written, variable: string) => env[variable] ?? written);
  }
  return { ...server, command: null, args: [], url, env: {}, headers };
}

/** The name of a server that its file has in a list: its own, its id, or that of its package, script, program or host. */
export function serverName(entry: JsonMembers): string {
  const { command, args, url } = readForeignEntry(entry);
  const own = [entry["name"], entry["id"]].find((text) => typeof text === "string" && text !== "");
  if (typeof own === "string") return own;
  if (command === null) {
    const host = (URL.parse(url ?? "")?.hostname ?? "").split(".");
    return host.at(-2) || host[0] || "server";
  }
  const runs = /(?:^|[\\/])(?:npx|bunx|pnpx|uvx|pipx|docker|podman|node|python\d?|uv|bun|deno)(?:\.\w+)?$/i;
  const program = runs.test(command)
    ? (args.findLast((arg) => /^(?:@|[.~]{0,2}\/)?[a-z][\w./@:-]*$/i.test(arg)) ?? command)
    : command;
  const [last = ""] = (program.split(/[\\/]/).at(-1) ?? "").split(/(?<=.)@|:/, 1);
  return (
    last.replace(/\.\w+$/, "").replace(/^(?:mcp-server|server|mcp)-|-(?:mcp-server|mcp|server)$/g, "") ||
    "server"
  );
}
