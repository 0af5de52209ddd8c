// `npm run mount`: builds mountaineer-fs, the program that mounts shares, and puts it where the daemon of this checkout finds it
// (mount-program). --all: builds it for every platform, and puts none there. --test [PACKAGE…]: plays the tests of these Go packages;
// without any, all of them and those of what it changes in its libraries. --race: with the race detector, which needs gcc.
import path from "node:path";
import { parseArgs } from "node:util";
import { errorText } from "../src/runtime/errors.ts";
import { PLATFORMS } from "./bundle/platform-packages.ts";
import { builtProgram, goEnvironment, placeProgram } from "./mount/build.ts";
import { goProgram } from "./mount/compiler.ts";
import { failedPackages, playGoTests } from "./mount/go-tests.ts";
import { run } from "./mount/run.ts";
import { goSource } from "./mount/source.ts";
import { tellFailed } from "./test-replay.ts";

const root = path.resolve(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    test: { type: "boolean", default: false },
    race: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.test) {
    const go = await goProgram(root);
    const env = { ...goEnvironment(), ...(values.race && { CGO_ENABLED: "1" }) };
    const args = ["-timeout=5h", ...(values.race ? ["-race"] : [])];
    const { own, libraries } = await goSource(root, go, env);
    // As a programmer runs them there (mount/README.md).
    for (const command of ["build", "vet"]) await run(go, [command, "./..."], { cwd: own, env });
    const ofOwn = positionals.length > 0 ? positionals : ["./fs/..."];
    const counts = [await playGoTests(go, [...args, ...ofOwn], { cwd: own, env })];
    await tellFailed(failedPackages(counts[0]?.failed ?? [], values.race));
    for (const { folder, packages } of positionals.length > 0 ? [] : libraries)
      if (packages.length > 0)
        counts.push(await playGoTests(go, [...args, "-vet=off", ...packages], { cwd: folder, env }));
    const passed = counts.reduce((sum, one) => sum + one.passed, 0);
    const failed = counts.reduce((sum, one) => sum + one.failed.length, 0);
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
    if (failed > 0) process.exitCode = 1;
  } else if (values.all) {
    for (const platform of PLATFORMS) {
      const { program } = await builtProgram(root, platform);
      process.stdout.write(`${platform.name}: ${path.relative(process.cwd(), program)}\n`);
    }
  } else {
    const name = `${process.platform}-${process.arch}`;
    const platform = PLATFORMS.find((one) => one.name === name);
    if (platform === undefined) throw new Error(`mountaineer-fs is not built for ${name}`);
    const { program } = await builtProgram(root, platform);
    const place = path.join(root, "mount-program");
    await placeProgram(place, program);
    process.stdout.write(`mountaineer-fs is built: ${path.relative(process.cwd(), place)}/mountaineer-fs\n`);
  }
}

// `init` shows the last line, so it has to be the reason.
await main().catch((error: unknown) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exitCode = 1;
});
