// Installs the archive that argv names into a home: argv is the home, the archive, its version, platform and checksum.
import { installRclone } from "../../../src/rclone-release/install.ts";

const [home = "", file = "", version = "", platform = "", sum = ""] = process.argv.slice(2);
const { signal } = new AbortController();
await installRclone({ home, file, signal, platform, release: { version, sums: { [platform]: sum } } });
