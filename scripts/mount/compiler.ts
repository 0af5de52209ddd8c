// The Go compiler that mountaineer-fs is built with: the machine's, if it can fetch the pinned one by itself, else the pinned one
// as the module proxy has it, in a folder of this checkout.
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fromBufferPromise } from "yauzl";
import { entryExists } from "../../src/runtime/files/durable-file.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { run } from "./run.ts";

/** The same compiler everywhere, else the bytes differ. */
export const COMPILER = "go1.26.8";
/** SHA-256 of PROXY/golang.org/toolchain/@v/v0.0.1-go1.26.8.PLATFORM.zip, which never changes. */
const SUMS: Readonly<Record<string, string>> = {
  "linux-amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
  "linux-arm64": "02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99",
  "darwin-amd64": "fe99a2009e5bb51e06d7784f1a486478673512041c2671157bd382806e2aedcf",
  "darwin-arm64": "0aad5fb52b88498885290178adc0bcfe429bc63012621af9f83282eb640bd9c7",
};
const FETCHED_WITHIN_MS = 10 * 60_000;
const PROCESSORS: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** The program `go`. */
export async function goProgram(root: string): Promise<string> {
  const found = await run("go", ["version"], { env: { GOTOOLCHAIN: "local" } }).catch(() => "");
  // From 1.21 on Go fetches the compiler that GOTOOLCHAIN names.
  const minor = Number(/go1\.(\d+)/.exec(found)?.[1] ?? 0);
  return minor >= 21 ? "go" : await fetchedGo(root);
}

async function fetchedGo(root: string): Promise<string> {
  const platform = `${process.platform}-${PROCESSORS[process.arch] ?? process.arch}`;
  const sum = SUMS[platform];
  if (sum === undefined) throw new Error(`no Go is known for ${platform}: install Go 1.21 or newer`);
  const folder = path.join(root, ".tmp/mount", COMPILER);
  const program = path.join(folder, "bin/go");
  if (await entryExists(program)) return program;
  const name = `golang.org/toolchain@v0.0.1-${COMPILER}.${platform}`;
  const proxies = (process.env["GOPROXY"] ?? "").split(/[,|]/);
  const proxy = proxies.find((one) => /^https?:/.test(one)) ?? "https://proxy.golang.org";
  const address = `${proxy}/golang.org/toolchain/@v/v0.0.1-${COMPILER}.${platform}.zip`;
  const answer = await fetch(address, { signal: AbortSignal.timeout(FETCHED_WITHIN_MS) }).catch(
    (error: Error) => {
      throw new Error(`${address} cannot be fetched (${error.cause ?? error}): install Go 1.21 or newer`);
    },
  );
  const archive = Buffer.from(await answer.arrayBuffer());
  const digest = sha256Of(archive);
  if (digest !== sum) throw new Error(`${address} has the SHA-256 ${digest}, not ${sum}`);
  const unfinished = `${folder}.${process.pid}`;
  try {
    const zip = await fromBufferPromise(archive);
    for await (const entry of zip.eachEntry()) {
      const inside = path.relative(name, entry.fileName);
      const file = path.join(unfinished, inside);
      await mkdir(path.dirname(file), { recursive: true });
      const isProgram = /^(?:bin|pkg\/tool\/[^/]+)\/[^/]+$/.test(inside);
      await writeFile(file, await zip.openReadStreamPromise(entry), { mode: isProgram ? 0o755 : 0o644 });
    }
    await rm(folder, { recursive: true, force: true });
    await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return program;
}
