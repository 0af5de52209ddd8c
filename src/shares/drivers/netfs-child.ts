// Owns the process that makes one call into NetFS: the request comes by stdin, as it holds the password, and the
// answer goes to stdout.
import { errorText } from "../../runtime/errors.ts";
import { loadNetfs } from "./netfs-binding.ts";
import type { NetfsChildAnswer, NetfsChildRequest } from "./netfs-process.ts";

async function answer(): Promise<NetfsChildAnswer> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) text += chunk;
  // Our own daemon, the same version, is at the other end.
  const { libraries, request } = JSON.parse(text) as NetfsChildRequest;
  let mount: Awaited<ReturnType<typeof loadNetfs>>;
  try {
    mount = await loadNetfs(libraries);
  } catch (error) {
    return { kind: "unavailable", text: errorText(error) };
  }
  try {
    return { kind: "called", ...mount(request) };
  } catch (error) {
    return { kind: "failed", text: errorText(error) };
  }
}

process.stdout.write(`${JSON.stringify(await answer())}\n`);
