// Installs the archive that argv names into a home: argv is the home, the archive, its version, platform and checksum.
import { installRclone } from "../../../src/rclone-release/install.ts";

const [home = "", file = "", version = "", platform = "", sum = ""] = process.argv.slice(2);
const { signal } = new AbortController();
const release = { version, folder: "http://127.0.0.1:1", redirectHosts: [], sums: { [platform]: sum } };
await installRclone({ home, file, signal, platform, release });
