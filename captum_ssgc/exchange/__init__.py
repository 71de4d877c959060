"""What comes in from other packages and goes out to them, one module for each format.

In between stands one :class:`captum_ssgc.exchange.table.DetectionTable`, so that a format knows
neither ``Detections`` nor ``Explanations``, whose methods lead here. Each format imports its
package when it is called.
"""
