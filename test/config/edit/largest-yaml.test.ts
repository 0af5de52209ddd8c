// The largest files, read and edited as YAML.
import { testLargestFiles } from "./largest-files.ts";

testLargestFiles("config.yaml");
