// The checker takes each script for a module of its own; on a page, all of them see this name.
declare var vqlabs: any;
