"""Plans that are run to be measured, in processes of their own."""
