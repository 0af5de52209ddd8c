// `npm run engine`: builds the engine, the rclone that this project brings, and puts it where the daemon of this checkout
// finds it (rclone/rclone). --test: plays the Go tests of all that it changes instead.
import path from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "./bundle/platform-packages.ts";
import { builtEngine, goEnvironment, placeEngine } from "./engine/build.ts";
import { goProgram } from "./engine/compiler.ts";
import { run } from "./engine/run.ts";
import { engineSource } from "./engine/source.ts";

const root = path.resolve(import.meta.dirname, "..");
const { values } = parseArgs({ options: { test: { type: "boolean", default: false } } });
/** The packages with changes, by the module's folder. */
const CHANGED: Readonly<Record<string, readonly string[]>> = {
  "go-smb2": ["./..."],
  rclone: ["./backend/smb", "./vfs/vfscache", "./cmd/mount2"],
};
/** rclone's own tests of a backend, on servers in containers. */
const NEEDS_CONTAINERS = "^TestIntegration";

if (values.test) {
  const go = await goProgram(root);
  const source = await engineSource(root, go, goEnvironment());
  for (const [name, packages] of Object.entries(CHANGED))
    process.stdout.write(
      await run(go, ["test", "-vet=off", "-skip", NEEDS_CONTAINERS, ...packages], {
        cwd: path.join(source, name),
        env: goEnvironment(),
      }),
    );
} else {
  const name = `${process.platform}-${process.arch}`;
  const platform = PLATFORMS.find((one) => one.name === name);
  if (platform === undefined) throw new Error(`the engine is not built for ${name}`);
  const engine = await builtEngine(root, platform);
  const place = path.join(root, "rclone");
  await placeEngine(place, engine);
  process.stdout.write(
    `rclone ${engine.version} is built: ${path.relative(process.cwd(), path.join(place, "rclone"))}\n`,
  );
}
