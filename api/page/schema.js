/** The API page's only script: the colour switch. */

import { installTheme } from "./theme.js";

installTheme();
