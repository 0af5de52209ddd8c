// The largest files, read and edited as TOML.
import { testLargestFiles } from "./largest-files.ts";

testLargestFiles("config.toml");
