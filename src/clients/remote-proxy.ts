// `npx mcp-remote ADDRESS`: a program whose one purpose is to reach an address. Here the address is reached directly.
import type { ForeignServer } from "./entry-keys.ts";

const RUNNER = /(?:^|[\\/])(?:npx|bunx|pnpx)(?:\.cmd)?$/i;
const PACKAGE = /^mcp-remote(?:@[\w.-]+)?$/;
/** Options that change nothing of what reaches the server. */
const HARMLESS = new Set(["--debug", "--silent", "--allow-http"]);

/** The same server by its address; the given one where its arguments say more than that. */
export function withoutProxy(server: ForeignServer): ForeignServer {
  const { command, args, env } = server;
  if (command === null || !RUNNER.test(command)) return server;
  const words = args.filter((word, index) => !(word === "-y" || word === "--yes") || index > 0);
  const [program = "", url = "", ...options] = words;
  if (!PACKAGE.test(program) || !/^https?:\/\//.test(url)) return server;
  const headers: Record<string, string> = {};
  for (let index = 0; index < options.length; index++) {
    const option = options[index] ?? "";
    const value = options[index + 1] ?? "";
    if (HARMLESS.has(option)) continue;
    index++;
    if (option === "--transport" && /^(?:http|sse)/.test(value)) continue;
    const [, name, content] = option === "--header" ? (/^([^:\s]+)\s*:\s*(.*)$/s.exec(value) ?? []) : [];
    if (name === undefined || content === undefined) return server;
    headers[name] = content.replace(
      /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g,
      (written, variable: string) => env[variable] ?? written,
    );
  }
  return { ...server, command: null, args: [], url, env: {}, headers };
}
